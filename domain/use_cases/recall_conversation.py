"""Remember what was said before."""

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
    """Puts the earlier turns of a conversation before the question.

    Attributes:
        read_seconds: What all reads of one conversation may take; longer than the store's own limit, so that what
            it does not tell in time may still come from elsewhere.
    """

    history: HistoryRepository
    read_seconds: float = 3.5

    async def __call__(
        self, prompt: Prompt, user_id: str, conversation_id: str, model: Model
    ) -> Prompt:
        """Return `prompt` with the newest earlier turns that fit, oldest first; whole turns, 1 000 at the most.

        A turn that was cut or cancelled counts with what was seen of its answer, and without any as its question.

        Args:
            prompt: Always sent whole.
            user_id: Authorised.
            conversation_id: Of that user.
            model: Who is asked. Its window, less what the answer may take, bounds all that is sent, at three bytes
                of UTF-8 a token. A window that is not known is taken for one of 128 000 tokens.

        Raises:
            HistoryUnreadable: The turns cannot be read; going on without them would be another conversation.
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
    """Return what may be sent.

    Some models may fill their whole window with an answer. A caller that set no bound means no such answer, and half
    of the window is kept for what is sent. So it is where the window is not known: it may well hold a larger answer.
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
