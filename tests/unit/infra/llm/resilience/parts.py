"""Test harness: routes around scripted models, on a fake clock."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from random import Random

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.interaction import Attempt
from domain.entities.prompt import Prompt
from domain.entities.reply import (
    NO_USAGE,
    AnswerEvent,
    FinishReason,
    ProviderSelected,
    Reply,
    Usage,
)
from domain.entities.tools import Capability
from domain.exceptions import DomainError
from domain.interfaces.llm_client import LLMClient
from domain.interfaces.telemetry import AttemptObserver
from infra.llm.providers.scripted import Piece, ScriptedLLM
from infra.llm.resilience.breaker_state import Breaker, BreakerPolicy
from infra.llm.resilience.bulkhead import Bulkhead, ProviderConcurrencyLimit
from infra.llm.resilience.call_hooks import HookedClient
from infra.llm.resilience.circuit_breaker import CircuitBreaker
from infra.llm.resilience.cooldown import Cooldown
from infra.llm.resilience.fallback import Fallback
from infra.llm.resilience.fallback_order import FallbackPolicy
from infra.llm.resilience.metered import Metered
from infra.llm.resilience.retry import Retry, RetryPolicy
from infra.llm.resilience.route import Route
from tests.fakes.clock import FakeClock

PROMPT = Prompt.from_text("Why?")
DONE = Reply(finish_reason=FinishReason.STOP)

Script = str | DomainError | Sequence[Piece]


class RecordingObserver(AttemptObserver):
    """Records its notifications."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str]] = []
        self.ended: list[tuple[Attempt, float | None, Usage]] = []

    def attempt_started(self, context: ChatRequestContext, provider: str, model: str) -> None:
        self.started.append((provider, model))

    def attempt_ended(
        self,
        context: ChatRequestContext,
        attempt: Attempt,
        first_text_seconds: float | None,
        reply: Reply | None,
    ) -> None:
        self.ended.append((attempt, first_text_seconds, attempt.usage or NO_USAGE))


@dataclass
class ReceivedAnswer:
    """The events that a caller received.

    Attributes:
        error: The error that ended the answer; None after a reply.
    """

    pieces: list[AnswerEvent] = field(default_factory=list)
    error: DomainError | None = None

    @property
    def text(self) -> str:
        """The text that the caller has in the end."""
        texts: list[str] = []
        for piece in self.pieces:
            if isinstance(piece, ProviderSelected) and not piece.continues:
                texts.clear()
            elif isinstance(piece, str):
                texts.append(piece)
        return "".join(texts)

    @property
    def voices(self) -> list[str]:
        """The models that answered, in order; a plus marks a continuation."""
        return [
            ("+" if piece.continues else "") + piece.model
            for piece in self.pieces
            if isinstance(piece, ProviderSelected)
        ]


async def read_answer(
    client: LLMClient, context: ChatRequestContext, prompt: Prompt = PROMPT
) -> ReceivedAnswer:
    """Read an answer to its end, or to its error."""
    heard = ReceivedAnswer()
    try:
        async with aclosing(client.stream(prompt, context)) as pieces:
            async for piece in pieces:
                heard.pieces.append(piece)
    except DomainError as error:
        heard.error = error
    return heard


def a_chat_context(
    clock: FakeClock,
    *,
    seconds: float = 59.0,
    whole_seconds: float | None = None,
    is_streamed: bool = False,
    may_fall_back: bool = True,
    has_fallback: bool = False,
) -> ChatRequestContext:
    """Return the context of a request that begins now."""
    now = clock.monotonic()
    return ChatRequestContext(
        id="01a20389-ce6f-7000-920f-5a0c1137e7a7",
        user_id="ana",
        model="a",
        started_seconds=now,
        first_text_deadline=Deadline(now + seconds),
        answer_deadline=Deadline(now + (whole_seconds or (600.0 if is_streamed else seconds))),
        is_streamed=is_streamed,
        may_fall_back=may_fall_back,
        has_fallback=has_fallback,
    )


class RouteHarness:
    """One model with its resilience, but without a deadline, which needs real timers.

    Attributes:
        llm: The scripted model; `asked` holds its prompts.
        route: The route to it.
    """

    def __init__(
        self,
        clock: FakeClock,
        *script: Script,
        model: str = "a",
        provider: str = "p",
        context_tokens: int | None = 1_000,
        max_output_tokens: int | None = None,
        upstream: str = "",
        continues: bool = False,
        retry: RetryPolicy | None = None,
        breaker: BreakerPolicy | None = None,
        concurrency: ProviderConcurrencyLimit | None = None,
        inner: LLMClient | None = None,
        capabilities: frozenset[Capability] = frozenset(),
    ) -> None:
        self.llm = ScriptedLLM(*script, provider=provider, model=model)
        self.observer = RecordingObserver()
        self.concurrency = concurrency or ProviderConcurrencyLimit(1_000)
        self.breaker = Breaker(model, breaker or BreakerPolicy(), clock, Random(1))
        metered = Metered(
            provider=provider,
            model=model,
            answered_status=200,
            clock=clock,
            observer=self.observer,
        )
        self.cooldown = Cooldown(cap_seconds=60.0, clock=clock)
        hooked = HookedClient(
            inner or self.llm,
            [
                self.cooldown,
                CircuitBreaker(breaker=self.breaker, first_token_seconds=12.0),
                Bulkhead(self.concurrency),
                metered,
            ],
        )
        self.retry = Retry(
            hooked,
            provider=provider,
            model=model,
            policy=retry or RetryPolicy(),
            clock=clock,
            random=Random(1),
            breakers=(self.cooldown, self.breaker),
        )
        self.route = Route(
            provider=provider,
            model=model,
            context_tokens=context_tokens,
            max_output_tokens=max_output_tokens,
            upstream=upstream,
            capabilities=capabilities,
            continues=continues,
            client=self.retry,
            once=hooked,
            breakers=(self.cooldown, self.breaker),
            concurrency=self.concurrency,
            budget=self.retry.budget,
        )

    @property
    def calls(self) -> int:
        """The number of calls of the model."""
        return len(self.llm.asked)


def falling_back(
    clock: FakeClock, *harnesses: RouteHarness, attempts_per_turn: int | None = None
) -> Fallback:
    """Return a fallback chain; the first route is the requested model."""
    policy = FallbackPolicy(attempts_per_turn=attempts_per_turn)
    return Fallback([harness.route for harness in harnesses], policy=policy, clock=clock)
