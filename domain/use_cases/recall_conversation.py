"""Add a conversation's earlier turns to the prompt."""

import asyncio
from dataclasses import dataclass, replace

from domain.entities.history_query import HistoryFilter, HistoryQuery
from domain.entities.interaction import ANSWERED, Interaction
from domain.entities.model import Model
from domain.entities.prompt import BETWEEN_QUESTIONS, Message, Prompt, Role
from domain.exceptions import HistoryUnreadable
from domain.interfaces.history import HistoryRepository

_BYTES_PER_TOKEN = 3
_UNKNOWN_WINDOW_TOKENS = 128_000
_UNKNOWN_ANSWER_TOKENS = 32_768
_PAGE_TURNS = 50
_MOST_TURNS = 1000


@dataclass(frozen=True, slots=True)
class RecallConversation:
    """Adds the earlier turns of a conversation before the question.

    Attributes:
        read_seconds: Time limit of all reads of one conversation; longer than the store's own limit, so that the
            turns can still be read from this host after the store timed out.
    """

    history: HistoryRepository
    read_seconds: float = 3.5

    async def __call__(
        self, prompt: Prompt, user_id: str, conversation_id: str, model: Model
    ) -> Prompt:
        """Return `prompt` with the newest earlier turns that fit, oldest first; complete turns, at most 1 000.

        A truncated or cancelled turn is included with its partial answer, or as a question alone if it has none.

        Args:
            prompt: The new messages, which are never shortened.
            user_id: Already authorised.
            conversation_id: Conversation of that user.
            model: The requested model. Its context window, less the tokens of the answer, bounds the prompt, at
                three bytes of UTF-8 per token. An unknown window is taken as 128 000 tokens.

        Raises:
            HistoryUnreadable: The turns cannot be read. The prompt is not sent without its context.
        """
        left_bytes = _window_tokens(prompt, model) * _BYTES_PER_TOKEN - _size_bytes(
            prompt.system, *(message.text for message in prompt.messages)
        )
        if left_bytes <= 0:
            return prompt
        try:
            async with asyncio.timeout(self.read_seconds):
                turns = await self._newest(user_id, conversation_id, left_bytes)
        except TimeoutError as exc:
            raise HistoryUnreadable("a conversation took too long to read") from exc
        earlier = [message for turn in reversed(turns) for message in _messages(turn)]
        return prompt.with_history(earlier) if earlier else prompt

    async def _newest(
        self, user_id: str, conversation_id: str, left_bytes: int
    ) -> list[Interaction]:
        """Return the newest turns that fit into `left_bytes`, newest first."""
        turns: list[Interaction] = []
        query = HistoryQuery(
            user_id=user_id,
            filter=HistoryFilter(conversation_id=conversation_id, statuses=ANSWERED),
            limit=_PAGE_TURNS,
        )
        while True:
            page = await self.history.recall(query)
            for turn in page.interactions:
                left_bytes -= _size_bytes(turn.prompt.text, turn.text or BETWEEN_QUESTIONS)
                if left_bytes < 0 or len(turns) == _MOST_TURNS:
                    return turns
                turns.append(turn)
            if page.next_id is None:
                return turns
            query = replace(query, after_id=page.next_id)


def _window_tokens(prompt: Prompt, model: Model) -> int:
    """Return how many tokens of the context window the prompt may use.

    Some models may fill their whole window with an answer. Without `max_output_tokens`, or with an unknown window, at
    most half of the window is reserved for the answer.
    """
    window_tokens = model.context_tokens or _UNKNOWN_WINDOW_TOKENS
    answer_tokens = prompt.max_output_tokens
    if answer_tokens is None:
        answer_tokens = model.max_output_tokens or _UNKNOWN_ANSWER_TOKENS
        return window_tokens - min(answer_tokens, window_tokens // 2)
    if model.context_tokens is None:
        answer_tokens = min(answer_tokens, window_tokens // 2)
    return window_tokens - answer_tokens


def _messages(turn: Interaction) -> tuple[Message, ...]:
    question = Message(role=Role.USER, text=turn.prompt.text)
    if not turn.text:
        return (question,)
    return (question, Message(role=Role.ASSISTANT, text=turn.text))


def _size_bytes(*texts: str) -> int:
    return sum([len(text.encode()) for text in texts])
