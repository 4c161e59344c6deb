"""Guards the way to the model."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from app.services.answer_events import AnswerEvents
from app.services.idempotency import IdempotencyService, Once
from app.services.token_quota import TokenQuota
from domain.entities.caller import Caller, Scope
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.model import Model
from domain.entities.prompt import Prompt
from domain.exceptions import InvalidInput, Overloaded
from domain.interfaces.clock import Clock
from domain.interfaces.model_catalogue import ModelCatalogue
from domain.use_cases.answer_prompt import AnswerPrompt
from domain.use_cases.recall_conversation import RecallConversation


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatLimits:
    """How long and how many.

    Attributes:
        request_seconds: All of a plain chat; of a streamed one, up to its first word.
        stream_seconds: All of a streamed chat.
        accept_reserve_seconds: Kept back of `request_seconds` for storing the answer.
        concurrent_chats: More than these at once are refused.
    """

    request_seconds: float = 60.0
    stream_seconds: float = 600.0
    accept_reserve_seconds: float = 1.0
    concurrent_chats: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOptions:
    """How a caller wants to be answered.

    Attributes:
        brings_context: The prompt is a conversation already, so that no earlier turns are put before it.
        timeout_seconds: Shortens the request's time; None leaves it.
        once: Carries the request out once; None every time it is sent.
    """

    conversation_id: str | None = None
    brings_context: bool = False
    is_streamed: bool = False
    may_fall_back: bool = True
    timeout_seconds: float | None = None
    once: Once | None = None


@dataclass(slots=True)
class ChatService:
    """May this caller ask, how often, how many at once, and with what said before; then the answer, piece by piece.

    Attributes:
        spending: Keeps callers within their tokens; None where they have no limit.
        chats_under_way: Accepted and not yet answered, those that wait for their idempotency key included.
    """

    answer_prompt: AnswerPrompt
    recall_conversation: RecallConversation
    catalogue: ModelCatalogue
    clock: Clock
    new_id: Callable[[], str]
    idempotency: IdempotencyService
    spending: TokenQuota | None = None
    limits: ChatLimits = field(default_factory=ChatLimits)
    chats_under_way: int = field(default=0, init=False)

    async def ask(
        self, caller: Caller, user_id: str, prompt: Prompt, asking: ChatOptions
    ) -> tuple[ChatRequestContext, AnswerEvents]:
        """Return the turn and its answer; nothing happens until the answer is read, but that a key is claimed.

        Raises:
            Forbidden: This caller may not ask for `user_id`.
            UnknownModel: Not in the catalogue.
            InvalidInput: More output tokens than the model gives.
            Overloaded: Too many chats at once.
            IdempotencyInProgress: The first request with this key still runs.
            IdempotencyMismatch: The first request with this key was another.
            IdempotencyUnavailable: Keys cannot be looked up.
        """
        caller.require(Scope.CHAT_WRITE, user_id)
        model = self.catalogue.resolve(prompt.model)
        most = model.max_output_tokens
        if most is not None and (prompt.max_output_tokens or 0) > most:
            raise InvalidInput("max_output_tokens", f"at most {most} for this model")
        if prompt.model is None:
            prompt = replace(prompt, model=model.id)
        context = self._context(user_id, model.id, asking)
        recalls = not asking.brings_context
        place = self._taken_place()

        def run() -> AnswerEvents:
            return self._answered(place, caller, context, prompt, model, recalls=recalls)

        if asking.once is None:
            return context, run()
        try:
            events = await self.idempotency(caller, context, asking.once, run)
        except BaseException:
            place.give_back()
            raise
        if context.is_replayed:
            place.give_back()
        return context, events

    def _taken_place(self) -> "_Place":
        """Count one more chat; nothing else runs between the check and the count.

        Raises:
            Overloaded: As many as allowed are under way.
        """
        if self.chats_under_way >= self.limits.concurrent_chats:
            raise Overloaded
        self.chats_under_way += 1
        return _Place(self)

    def _context(self, user_id: str, model: str, asking: ChatOptions) -> ChatRequestContext:
        started_seconds = self.clock.monotonic()
        request_seconds = self.limits.request_seconds
        if asking.timeout_seconds is not None:
            request_seconds = min(request_seconds, asking.timeout_seconds)
        first_text_deadline = Deadline(
            started_seconds + request_seconds - self.limits.accept_reserve_seconds
        )
        answer_deadline = first_text_deadline
        if asking.is_streamed:
            answer_deadline = Deadline(started_seconds + self.limits.stream_seconds)
        return ChatRequestContext(
            id=self.new_id(),
            user_id=user_id,
            conversation_id=asking.conversation_id,
            model=model,
            started_seconds=started_seconds,
            first_text_deadline=first_text_deadline,
            answer_deadline=answer_deadline,
            is_streamed=asking.is_streamed,
            may_fall_back=asking.may_fall_back,
        )

    async def _answered(
        self,
        place: "_Place",
        caller: Caller,
        context: ChatRequestContext,
        prompt: Prompt,
        model: Model,
        *,
        recalls: bool,
    ) -> AnswerEvents:
        """Answer `prompt`, after the earlier turns of its conversation if it `recalls` them and is in one."""
        try:
            if recalls and context.conversation_id is not None:
                prompt = await self.recall_conversation(
                    prompt, context.user_id, context.conversation_id, model
                )
            if self.spending is None or caller.rate_limit_key is None:
                answer = self.answer_prompt(context, prompt)
            else:
                answer = self.spending(
                    caller.rate_limit_key, context, prompt, model, self.answer_prompt
                )
            async with aclosing(answer) as events:
                async for event in events:
                    yield event
        finally:
            place.give_back()


class _Place:
    """One of the chats that may be under way at once; giving it back a second time changes nothing."""

    __slots__ = ("_is_taken", "_service")

    def __init__(self, service: ChatService) -> None:
        self._service = service
        self._is_taken = True

    def give_back(self) -> None:
        if self._is_taken:
            self._is_taken = False
            self._service.chats_under_way -= 1
