"""Checks permissions and limits before a chat reaches the model."""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial

from app.services.answer_events import AnswerEvents
from app.services.idempotency import IdempotencyService, IdempotentRequest
from app.services.running_answers import RunningAnswers
from app.services.token_quota import TokenQuota
from domain.entities.background.answer import BackgroundAnswer
from domain.entities.caller import Caller, Scope
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.interaction import NO_TURN_ID, Status
from domain.entities.items import is_long
from domain.entities.model import Model
from domain.entities.prompt import Prompt
from domain.exceptions import InvalidInput, Overloaded, RateLimited, UnsupportedByModel
from domain.immutable import immutable
from domain.interfaces.clock import Clock
from domain.interfaces.model_catalogue import ModelCatalogue
from domain.use_cases.accept_attachments import AcceptAttachments, AcceptedAttachments
from domain.use_cases.answer_prompt import AnswerPrompt
from domain.use_cases.background.run_answers import ReadyToAsk, RunAnswers
from domain.use_cases.load_contents import LoadContents
from domain.use_cases.recall_call_metadata import RecallCallMetadata
from domain.use_cases.recall_conversation import RecallConversation
from domain.use_cases.record_answer import AnswerRecorder

_CHAT = "chat"
"""The capability that embedding models lack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatLimits:
    """Time limits of a chat, and the limit of concurrent chats.

    Attributes:
        request_seconds: Total time of a chat that is not streamed; of a streamed one, the time to its first text.
        stream_seconds: Total time of a streamed chat.
        accept_reserve_seconds: Part of `request_seconds` that is reserved for storing the answer.
        concurrent_chats: Chats above this number are refused.
    """

    request_seconds: float = 60.0
    stream_seconds: float = 600.0
    accept_reserve_seconds: float = 1.0
    concurrent_chats: int = 1000


@immutable
class ChatOptions:
    """Options of one chat request.

    Attributes:
        previous_id: Interaction that the prompt continues, instead of the end of a conversation; `NO_TURN_ID` for none.
        brings_context: The prompt contains its conversation, so no earlier turns are added to it.
        keeps_content: Store the prompt and the answer; otherwise only the fact of the request, and its cost.
        clamps_output: More output tokens than the model supports are reduced to its limit instead of being refused.
        output_limit_field: What the caller's API calls the limit of output tokens, for errors.
        metadata: The caller's own pairs of strings, stored with the interaction.
        is_background: The answer does not depend on the connection; the only event is then the accepted interaction.
        request_id: Id of the HTTP request, which errors of a background answer name.
        timeout_seconds: Replaces `ChatLimits.request_seconds` if it is shorter; None changes nothing.
        idempotent_request: Identifies repeated requests; None runs the request every time it is sent.
    """

    conversation_id: str | None = None
    previous_id: str | None = None
    brings_context: bool = False
    keeps_content: bool = True
    clamps_output: bool = False
    output_limit_field: str = "max_output_tokens"
    is_streamed: bool = False
    may_fall_back: bool = True
    is_background: bool = False
    request_id: str = ""
    timeout_seconds: float | None = None
    idempotent_request: IdempotentRequest | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


# On Python 3.11 a lookup in the class takes forty times as long, and this one is made for every chat.
_CHAT_WRITE = Scope.CHAT_WRITE


def _no_trace() -> None:
    """Return None: tracing is off."""


@dataclass(slots=True)
class ChatService:
    """Answers chats, subject to permissions, concurrency limit, idempotency and token quota.

    Attributes:
        background: Makes the background answers of this process.
        running_answers: Limits the background answers of each caller.
        traceparent: Returns the span of the current request, as in W3C Trace Context; None without tracing.
        token_quota: Limits the tokens of each caller; None if they are not limited.
        chats_in_flight: Number of accepted chats without a complete answer, including those that wait for their
            idempotency key.
    """

    answer_prompt: AnswerPrompt
    accept_attachments: AcceptAttachments
    recall_conversation: RecallConversation
    recall_call_metadata: RecallCallMetadata
    catalogue: ModelCatalogue
    clock: Clock
    new_id: Callable[[], str]
    idempotency: IdempotencyService
    background: RunAnswers
    running_answers: RunningAnswers
    load_contents: LoadContents
    traceparent: Callable[[], str | None] = _no_trace
    token_quota: TokenQuota | None = None
    limits: ChatLimits = field(default_factory=ChatLimits)
    chats_in_flight: int = field(default=0, init=False)

    async def ask(
        self, caller: Caller, user_id: str, prompt: Prompt, options: ChatOptions
    ) -> tuple[ChatRequestContext, AnswerEvents]:
        """Return the request's context and its answer.

        The idempotency key is claimed at once; everything else happens when the answer is read.

        Raises:
            Forbidden: The caller may not chat on behalf of `user_id`.
            UnknownModel: The model is not in the catalogue.
            UnsupportedByModel: The model lacks a capability that the prompt needs.
            InvalidInput: The prompt requests more output tokens than the model supports.
            Overloaded: Too many chats are in flight.
            IdempotencyInProgress: The first request with this key is still running.
            IdempotencyMismatch: The first request with this key had different content.
            IdempotencyUnavailable: The idempotency store or history cannot be read.
        """
        caller.require(_CHAT_WRITE, user_id)
        model = self.catalogue.resolve(prompt.model)
        if model.computes_embeddings:
            raise UnsupportedByModel(_CHAT, self._models_that_chat())
        limit = model.max_output_tokens
        if limit is not None and (prompt.max_output_tokens or 0) > limit:
            if not options.clamps_output:
                raise InvalidInput(options.output_limit_field, f"at most {limit} for this model")
            prompt = replace(prompt, max_output_tokens=limit)
        self._require_capabilities(prompt, model)
        context = self._context(caller, user_id, model.id, options)
        recalls = not options.brings_context
        slot = self._acquire_slot()

        def run() -> AnswerEvents:
            if options.is_background:
                return self._begin_in_background(slot, caller, context, prompt, model, options)
            return self._answer(slot, caller, context, prompt, model, recalls=recalls)

        if options.idempotent_request is None:
            return context, run()
        try:
            events = await self.idempotency(caller, context, options.idempotent_request, run)
        except BaseException:
            slot.release()
            raise
        if context.is_replayed:
            slot.release()
        return context, events

    def _require_capabilities(self, prompt: Prompt, model: Model) -> None:
        """Check that the model has all capabilities that the prompt needs.

        Raises:
            UnsupportedByModel: It lacks one.
        """
        needed = prompt.required_capabilities()
        if missing := needed - model.capabilities:
            models = [other.id for other in self.catalogue.models() if needed <= other.capabilities]
            raise UnsupportedByModel(min(missing), models)

    def _models_that_chat(self) -> list[str]:
        return [model.id for model in self.catalogue.models() if not model.computes_embeddings]

    def _acquire_slot(self) -> "_ChatSlot":
        """Count one more chat in flight. Check and increment are atomic, since there is no `await` between them.

        Raises:
            Overloaded: The limit of concurrent chats is reached.
        """
        if self.chats_in_flight >= self.limits.concurrent_chats:
            raise Overloaded
        self.chats_in_flight += 1
        return _ChatSlot(self)

    def _context(
        self, caller: Caller, user_id: str, model: str, options: ChatOptions
    ) -> ChatRequestContext:
        started_seconds = self.clock.monotonic()
        request_seconds = self.limits.request_seconds
        if options.timeout_seconds is not None:
            request_seconds = min(request_seconds, options.timeout_seconds)
        first_text_deadline = Deadline(
            started_seconds + request_seconds - self.limits.accept_reserve_seconds
        )
        answer_deadline = first_text_deadline
        silence_seconds = None
        if options.is_background:
            answer_deadline = Deadline(started_seconds + self.background.limits.total_seconds)
            first_text_deadline = answer_deadline
            silence_seconds = self.background.limits.silence_seconds
        elif options.is_streamed:
            answer_deadline = Deadline(started_seconds + self.limits.stream_seconds)
        return ChatRequestContext(
            id=self.new_id(),
            user_id=user_id,
            conversation_id=options.conversation_id,
            previous_id=options.previous_id,
            metadata=options.metadata,
            credential=caller.credential,
            is_content_stored=options.keeps_content,
            model=model,
            started_seconds=started_seconds,
            first_text_deadline=first_text_deadline,
            answer_deadline=answer_deadline,
            longest_silence_seconds=silence_seconds,
            is_background=options.is_background,
            is_streamed=options.is_streamed or options.is_background,
            may_fall_back=options.may_fall_back,
        )

    async def _answer(
        self,
        slot: "_ChatSlot",
        caller: Caller,
        context: ChatRequestContext,
        prompt: Prompt,
        model: Model,
        *,
        recalls: bool,
    ) -> AnswerEvents:
        """Answer `prompt`; if `recalls` and it continues a conversation, with the earlier turns added to it."""
        try:
            prompt, accepted = await self._complete(context, prompt, model, recalls=recalls)
            answer_prompt: Callable[[ChatRequestContext, Prompt], AnswerEvents] = self.answer_prompt
            if accepted is not None and context.is_content_stored:
                answer_prompt = partial(self._store_and_answer, accepted)
            if self.token_quota is None or caller.rate_limit_key is None:
                answer = answer_prompt(context, prompt)
            else:
                answer = self.token_quota(
                    caller.rate_limit_key, context, prompt, model, answer_prompt
                )
            async with aclosing(answer) as events:
                async for event in events:
                    yield event
        finally:
            slot.release()

    async def _complete(
        self,
        context: ChatRequestContext,
        prompt: Prompt,
        model: Model,
        *,
        recalls: bool,
        before_id: str | None = None,
    ) -> tuple[Prompt, AcceptedAttachments | None]:
        """Return the prompt with all its context, and the attachments to store; raises as `ask` and `recall_conversation`.

        Args:
            context: Of the request.
            prompt: The new messages.
            model: The requested model.
            recalls: Add the earlier turns of the conversation that the request continues.
            before_id: Id from which on turns are later than the prompt; None where it is the newest.
        """
        accepted = None
        if _may_have_contents(prompt):
            accepted = await self.accept_attachments.check(prompt, context.user_id)
            prompt = accepted.prompt
            self._require_capabilities(prompt, model)  # the types of stored contents are known
        if recalls:
            if context.previous_id is not None or context.conversation_id is not None:
                prompt = await self._with_earlier_turns(context, prompt, model, before_id)
        else:
            prompt = await self.recall_call_metadata(prompt, context.user_id)
        return prompt, accepted

    async def _begin_in_background(
        self,
        slot: "_ChatSlot",
        caller: Caller,
        context: ChatRequestContext,
        prompt: Prompt,
        model: Model,
        options: ChatOptions,
    ) -> AnswerEvents:
        """Accept a background answer and yield its interaction, of status `in_progress`.

        Raises:
            RateLimited: The caller has reached its limit of background answers, or has too few tokens left.
            Overloaded: This process has reached its limit of background answers.
            HistoryUnavailable: It could not be accepted.
        """
        try:
            if prompt.model is None:
                # The default may change before the model is called.
                prompt = replace(prompt, model=model.id)
            prompt, accepted = await self._complete(
                context, prompt, model, recalls=not options.brings_context
            )
            ready = await self._ready(caller.rate_limit_key, prompt, model)
            try:
                ready = self.running_answers.begin(caller.rate_limit_key, ready)
                if accepted is not None:
                    refused = await self.accept_attachments.store_all(
                        accepted, context.user_id, context.id
                    )
                    if refused:
                        prompt = prompt.with_texts_in_row(refused)
                recorder = AnswerRecorder(context, prompt, self.clock)
                answer = BackgroundAnswer(
                    interaction=recorder.interaction(Status.IN_PROGRESS),
                    brings_context=options.brings_context,
                    may_fall_back=options.may_fall_back,
                    rate_limit_key=caller.rate_limit_key,
                    request_id=options.request_id,
                    traceparent=self.traceparent(),
                )
            except BaseException:
                ready.settle(context)
                raise
            await self.background.begin(answer, context, ready)
        finally:
            slot.release()
        yield answer.interaction

    async def prepare(self, answer: BackgroundAnswer, context: ChatRequestContext) -> ReadyToAsk:
        """Rebuild the prompt of an answer that another process began: with the turns that preceded it.

        Raises:
            DomainError: The answer cannot be generated any more, for example because its model was removed.
            HistoryError: Its context cannot be read at the moment.
        """
        (interaction,) = await self.load_contents([answer.interaction])
        model = self.catalogue.resolve(interaction.prompt.model)
        prompt, _ = await self._complete(
            context,
            interaction.prompt,
            model,
            recalls=not answer.brings_context,
            before_id=context.id,
        )
        try:
            ready = await self._ready(answer.rate_limit_key, prompt, model)
        except RateLimited:  # tokens were left when it was accepted
            ready = ReadyToAsk(prompt, _settle_nothing)
        return self.running_answers.take_over(answer.rate_limit_key, ready)

    async def _ready(self, rate_limit_key: str | None, prompt: Prompt, model: Model) -> ReadyToAsk:
        if self.token_quota is None or rate_limit_key is None:
            return ReadyToAsk(prompt, _settle_nothing)
        reserved = await self.token_quota.reserve(rate_limit_key, prompt, model)
        return ReadyToAsk(reserved.prompt, reserved.settle)

    async def _store_and_answer(
        self, accepted: AcceptedAttachments, context: ChatRequestContext, prompt: Prompt
    ) -> AnswerEvents:
        """Answer `prompt` once its attachments are stored, which is after all checks."""
        refused = await self.accept_attachments.store_all(accepted, context.user_id, context.id)
        if refused:
            prompt = prompt.with_texts_in_row(refused)
        async with aclosing(self.answer_prompt(context, prompt)) as events:
            async for event in events:
                yield event

    async def _with_earlier_turns(
        self,
        context: ChatRequestContext,
        prompt: Prompt,
        model: Model,
        before_id: str | None = None,
    ) -> Prompt:
        """Return `prompt` with the earlier turns; a continuation takes over the conversation of its parent.

        Nothing is added to a branch from the beginning of a conversation.

        A parent outside of any conversation begins one, with its own id.

        Raises:
            UnsupportedByModel: The earlier turns have tool calls, and the model lacks tools.
        """
        parent = None
        if context.previous_id == NO_TURN_ID:
            before_id = NO_TURN_ID
        elif context.previous_id is not None:
            parent = await self.recall_conversation.parent(context.user_id, context.previous_id)
            context.conversation_id = parent.conversation_id or parent.id
        assert context.conversation_id is not None
        prompt = await self.recall_conversation(
            prompt,
            context.user_id,
            context.conversation_id,
            model,
            until=parent,
            before_id=before_id,
        )
        self._require_capabilities(prompt, model)
        return prompt


def _settle_nothing(_context: ChatRequestContext) -> None:
    """Do nothing: no tokens are reserved."""


def _may_have_contents(prompt: Prompt) -> bool:
    """Return whether a part of the prompt may be stored like attachments."""
    if prompt.tools or is_long(prompt.system):
        return True
    for message in prompt.messages:  # noqa: SIM110 - `any` would create a generator for each chat
        if message.items:
            return True
    return False


class _ChatSlot:
    """One of the `ChatLimits.concurrent_chats`; a second release is a no-op."""

    __slots__ = ("_is_held", "_service")

    def __init__(self, service: ChatService) -> None:
        self._service = service
        self._is_held = True

    def release(self) -> None:
        if self._is_held:
            self._is_held = False
            self._service.chats_in_flight -= 1
