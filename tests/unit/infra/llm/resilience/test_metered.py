"""Every call is in the log, whatever became of it."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from domain.entities.interaction import Attempt
from domain.entities.reply import NO_USAGE, FinishReason, Reply, Usage
from domain.exceptions import ContentBlocked, LLMError, LLMRateLimited, LLMTimeout, LLMUnavailable
from infra.llm.providers.scripted import Piece, ScriptedLLM
from infra.llm.resilience.call_hooks import HookedClient
from infra.llm.resilience.metered import Metered
from tests.fakes.clock import FakeClock
from tests.unit.infra.llm.resilience.parts import (
    PROMPT,
    RecordingObserver,
    Script,
    a_chat_context,
    read_answer,
)

USAGE = Usage(input_tokens=3, output_tokens=5, total_tokens=8, cost_usd=0.25)


class Dawdling(ScriptedLLM):
    """Takes a quarter of a second for each piece."""

    def __init__(self, clock: FakeClock, *script: Script) -> None:
        super().__init__(*script)
        self.clock = clock

    async def stream(self, prompt, context):  # type: ignore[no-untyped-def]
        async with aclosing(super().stream(prompt, context)) as pieces:
            async for piece in pieces:
                self.clock.advance(0.25)
                yield piece


def metered(clock: FakeClock, *script: Script) -> tuple[HookedClient, RecordingObserver]:
    watching = RecordingObserver()
    hooks = Metered(provider="p", model="a", answered_status=200, clock=clock, observer=watching)
    return HookedClient(Dawdling(clock, *script), [hooks]), watching


def an_attempt(outcome: str, seconds: float, http_status: int | None = None) -> Attempt:
    return Attempt(
        provider="p", model="a", outcome=outcome, seconds=seconds, http_status=http_status
    )


async def test_an_answer_is_logged_with_its_times_and_its_usage() -> None:
    clock = FakeClock()
    script: list[Piece] = ["be", "cause", Reply(finish_reason=FinishReason.STOP, usage=USAGE)]
    client, watching = metered(clock, script)
    context = a_chat_context(clock)
    heard = await read_answer(client, context)
    assert heard.text == "because"
    assert context.attempts == [replace(an_attempt("ok", 1.0, 200), usage=USAGE)]
    assert watching.started == [("p", "a")]
    assert watching.ended == [(context.attempts[0], 0.5, USAGE)]


async def test_the_attempt_is_there_before_the_caller_has_the_reply() -> None:
    clock = FakeClock()
    client, watching = metered(clock, "because")
    context = a_chat_context(clock)
    async with aclosing(client.stream(PROMPT, context)) as pieces:
        async for piece in pieces:
            assert bool(context.attempts) is isinstance(piece, Reply)
            if isinstance(piece, Reply):
                break
    assert [attempt.outcome for attempt in context.attempts] == ["ok"]
    assert len(watching.ended) == 1


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(LLMTimeout(), "timeout"), (LLMRateLimited(http_status=429), "rate_limited")],
)
async def test_a_failure_is_logged_with_its_outcome(failure: LLMError, outcome: str) -> None:
    clock = FakeClock()
    client, watching = metered(clock, ["beca", failure])
    context = a_chat_context(clock)
    await read_answer(client, context)
    assert context.attempts == [an_attempt(outcome, 0.5, failure.http_status)]
    assert watching.ended == [(context.attempts[0], 0.5, NO_USAGE)]


@pytest.mark.seen("A13")
@pytest.mark.parametrize("failure", [LLMTimeout(), ContentBlocked(), LLMUnavailable()])
async def test_what_a_provider_reported_before_it_failed_is_logged(failure: LLMError) -> None:
    clock = FakeClock()
    client, watching = metered(clock, ["beca", Usage(input_tokens=1), USAGE, failure], [failure])
    context = a_chat_context(clock)
    for _ in range(2):
        await read_answer(client, context)
    assert [attempt.usage for attempt in context.attempts] == [USAGE, None]
    assert [usage for _, _, usage in watching.ended] == [USAGE, NO_USAGE]


@pytest.mark.seen("A13")
async def test_what_was_reported_to_a_caller_who_leaves_is_logged() -> None:
    clock = FakeClock()
    client, _ = metered(clock, ["I", USAGE, "we"])
    context = a_chat_context(clock)
    async with aclosing(client.stream(PROMPT, context)) as pieces:
        async for piece in pieces:
            if piece == "we":
                break
    assert [(one.outcome, one.usage) for one in context.attempts] == [("cancelled", USAGE)]


async def test_a_usage_that_tells_nothing_is_none() -> None:
    clock = FakeClock()
    client, _ = metered(
        clock, "because", [Usage(cached_input_tokens=3, cache_write_tokens=3), LLMTimeout()]
    )
    context = a_chat_context(clock)
    for _ in range(2):
        await read_answer(client, context)
    assert [attempt.usage for attempt in context.attempts] == [None, None]


async def test_an_answer_cut_by_a_filter_is_logged_as_blocked() -> None:
    clock = FakeClock()
    client, _ = metered(clock, ["I", Reply(finish_reason=FinishReason.CONTENT_FILTER)])
    context = a_chat_context(clock)
    await read_answer(client, context)
    assert context.attempts[0].outcome == "blocked"


@pytest.mark.parametrize("way", ["cancelled", "closed"])
async def test_a_caller_who_leaves_leaves_an_attempt(way: str) -> None:
    clock = FakeClock()
    client, watching = metered(clock, ["I", asyncio.Event()])
    context = a_chat_context(clock)
    if way == "closed":
        async with aclosing(client.stream(PROMPT, context)) as pieces:
            await anext(pieces)
    else:
        reading = asyncio.create_task(read_answer(client, context))
        while clock.monotonic() < 1_000.5:
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert [attempt.outcome for attempt in context.attempts] == ["cancelled"]
    assert len(watching.ended) == 1


async def test_a_bug_leaves_an_attempt_too() -> None:
    class Buggy(ScriptedLLM):
        def stream(self, prompt, context):  # type: ignore[no-untyped-def]
            raise KeyError("bug")

    clock, watching = FakeClock(), RecordingObserver()
    hooks = Metered(provider="p", model="a", answered_status=None, clock=clock, observer=watching)
    client = HookedClient(Buggy(), [hooks])
    context = a_chat_context(clock)
    with pytest.raises(KeyError):
        await read_answer(client, context)
    assert context.attempts == [an_attempt("error", 0.0)]
