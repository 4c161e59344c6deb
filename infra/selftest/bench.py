"""Runs every fault case, and an outage, through the real chain, with scaled times."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.interaction import Attempt
from domain.entities.model import Model
from domain.entities.prompt import Prompt
from domain.entities.reply import ProviderSelected, Reply
from domain.exceptions import DomainError
from domain.interfaces.telemetry import AttemptObserver
from infra.clock import SystemClock
from infra.llm.catalogue.catalogue import Catalogue, CatalogueModel, Provider
from infra.llm.chain import LLM, open_llm
from infra.llm.providers.registry import GEMINI, OPENAI, ProviderKind
from infra.selftest.cases import CASES, OUTAGE, PRIMARY, STANDBY, Case
from infra.selftest.fault import WHOLE_TEXT
from infra.selftest.faults import FAULTS
from infra.selftest.provider import FaultProvider, fault_provider
from infra.settings import Settings

SCALE = 20
"""Factor by which the outage and the circuit breaker's times are shortened."""

OUTAGE_SECONDS = 60 / SCALE
RECOVERY_SECONDS = (15 + 4 + 1) / SCALE
"""Time limit for recovery: the longest open period, the time to the next request, and a margin."""
ASK_EVERY_SECONDS = 4 / SCALE
MOST_REQUESTS_IN_OUTAGE = 7
"""Limit of requests that try the first provider during the outage: three until the circuit opens at the fifth failed
call, then one probe after each open period of 10, 12, 15 and 15 s, each of which may be a fifth shorter."""
_REQUEST_SECONDS = 4.0
_REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Outcome of one case.

    Attributes:
        got: Provider that answered, or the code of the error.
        attempts: Number of provider calls.
        seconds: Duration of the case.
        has_passed: Whether the outcome is the expected one.
    """

    title: str
    got: str
    attempts: int
    seconds: float
    has_passed: bool


class _Unobserved(AttemptObserver):
    def attempt_started(self, context: ChatRequestContext, provider: str, model: str) -> None:
        return

    def attempt_ended(
        self,
        context: ChatRequestContext,
        attempt: Attempt,
        first_text_seconds: float | None,
        reply: Reply | None,
    ) -> None:
        return


async def run(
    report: Callable[[Outcome], object],
    *,
    primary: ProviderKind = GEMINI,
    standby: ProviderKind = OPENAI,
) -> list[Outcome]:
    """Run every case and then the outage, and return all outcomes.

    Uses the loopback interface only, and no key; takes about eight seconds.

    Args:
        report: Called with each outcome.
        primary: Kind of the provider that misbehaves.
        standby: Kind of the provider to fall back to.
    """
    outcomes = []
    async with fault_provider() as provider, _chain(provider, primary, standby) as llm:
        for number, case in enumerate(CASES):
            outcome = await _try_case(llm, case, _name(number))
            outcomes.append(outcome)
            report(outcome)
        outcome = await _outage(llm, provider)
        outcomes.append(outcome)
        report(outcome)
    return outcomes


async def _try_case(llm: LLM, case: Case, model: str) -> Outcome:
    context, got, text, seconds = await _ask(llm, model, is_streamed=case.is_streamed)
    at_primary = sum(attempt.provider != STANDBY for attempt in context.attempts)
    return Outcome(
        title=case.title,
        got=got,
        attempts=len(context.attempts),
        seconds=seconds,
        has_passed=(got, text) == (case.expected, case.text)
        and 1 <= at_primary <= case.most_attempts
        and case.least_seconds <= seconds < _REQUEST_SECONDS,
    )


async def _outage(llm: LLM, provider: FaultProvider) -> Outcome:
    """The first provider fails for a (scaled) minute; every request is answered, and it is soon used again."""
    started_seconds = time.monotonic()
    answered, attempts, tried_in_vain = True, 0, 0
    provider.override[OUTAGE] = FAULTS["503"]
    while time.monotonic() - started_seconds < OUTAGE_SECONDS:
        context, _, text, _ = await _ask(llm, OUTAGE)
        answered = answered and text == WHOLE_TEXT
        attempts += len(context.attempts)
        tried_in_vain += any(attempt.provider == PRIMARY for attempt in context.attempts)
        await asyncio.sleep(ASK_EVERY_SECONDS)
    del provider.override[OUTAGE]
    back_by_seconds = time.monotonic() + RECOVERY_SECONDS
    got = ""
    while got != PRIMARY and time.monotonic() < back_by_seconds:
        context, got, text, _ = await _ask(llm, OUTAGE)
        answered = answered and text == WHOLE_TEXT
        attempts += len(context.attempts)
        await asyncio.sleep(ASK_EVERY_SECONDS)
    return Outcome(
        title=f"S16 outage of a minute, 1:{SCALE}",
        got=got,
        attempts=attempts,
        seconds=time.monotonic() - started_seconds,
        has_passed=answered and got == PRIMARY and tried_in_vain <= MOST_REQUESTS_IN_OUTAGE,
    )


async def _ask(
    llm: LLM, model: str, *, is_streamed: bool = False
) -> tuple[ChatRequestContext, str, str, float]:
    """Return the context, the provider or error code, the text received, and the seconds it took."""
    now = time.monotonic()
    by = Deadline(now + _REQUEST_SECONDS)
    context = ChatRequestContext(
        id=str(uuid4()),
        user_id="selftest",
        model=model,
        started_seconds=now,
        first_text_deadline=by,
        answer_deadline=by,
        is_streamed=is_streamed,
    )
    got, texts = "", list[str]()
    try:
        async with aclosing(llm.client.stream(Prompt.from_text("How are you?"), context)) as events:
            async for event in events:
                if isinstance(event, str):
                    texts.append(event)
                elif isinstance(event, ProviderSelected):
                    got = STANDBY if event.provider == STANDBY else PRIMARY
                    if not event.continues:
                        texts.clear()
    except DomainError as error:
        got = error.code
        if not is_streamed:
            texts.clear()  # without streaming, partial answers are not returned
    return context, got, "".join(texts), time.monotonic() - now


@asynccontextmanager
async def _chain(
    provider: FaultProvider, primary_kind: ProviderKind, standby_kind: ProviderKind
) -> AsyncIterator[LLM]:
    """The real chain with a catalogue in which each case has a route of its own, all falling back to one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        unused_url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    primary = _provider(PRIMARY, primary_kind, provider.url)
    refusing = _provider(_REFUSED, primary_kind, unused_url)
    standby = _provider(STANDBY, standby_kind, provider.url)
    entries = [
        *(
            _entry(_name(number), refusing if case.fault == _REFUSED else primary, case)
            for number, case in enumerate(CASES)
        ),
        _entry(OUTAGE, primary, Case(title=OUTAGE, fault=OUTAGE, expected=PRIMARY)),
        _entry(STANDBY, standby, None),
        _entry(f"{STANDBY} that goes on", standby, CASES[0], goes_on=True),
    ]
    clock = SystemClock()
    async with open_llm(
        Catalogue(entries, clock=clock), _settings(), clock=clock, observer=_Unobserved()
    ) as llm:
        yield llm


def _settings() -> Settings:
    return Settings(
        _env_file=None,  # the run must not depend on the environment
        first_token_seconds=0.6,
        idle_seconds=0.4,
        min_attempt_seconds=0.2,
        retry_base_seconds=0.2 / SCALE,
        breaker_open_seconds=10 / SCALE,
        breaker_open_cap_seconds=15 / SCALE,
        price_lookup_enabled=False,
    )


def _provider(name: str, kind: ProviderKind, url: str) -> Provider:
    return Provider(
        name=name, kind=kind, base_url=url, api_key="selftest", allow_http=True, price_url=url
    )


def _entry(
    name: str, provider: Provider, case: Case | None, *, goes_on: bool = False
) -> CatalogueModel:
    fallbacks: tuple[str, ...] = ()
    if case is not None and not goes_on and not case.is_alone:
        fallbacks = (f"{STANDBY} that goes on" if case.continues else STANDBY,)
    return CatalogueModel(
        model=Model(id=name, owned_by=provider.name, context_tokens=8192, max_output_tokens=1024),
        provider=provider,
        upstream=_upstream(case) if case is not None and not goes_on else "healthy",
        fallbacks=fallbacks,
        continues=goes_on or (case is not None and case.continues),
    )


def _upstream(case: Case) -> str:
    """Return the name of the fault, with a suffix for cases without fallback so that they are counted separately."""
    return f"{case.fault}@alone" if case.is_alone else case.fault


def _name(number: int) -> str:
    return f"case {number + 1}"
