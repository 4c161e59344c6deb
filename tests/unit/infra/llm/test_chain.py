"""The whole way to a model, around real connections to providers that misbehave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import FinishReason, Reply, Usage
from domain.exceptions import NoRoute
from infra.clock import SystemClock
from infra.llm.catalogue.loader import load_catalogue
from infra.llm.chain import LLM, open_llm
from infra.llm.resilience.route_health import RouteState
from infra.settings import Settings
from tests.fakes import gemini, openai
from tests.fakes.behaviour import Breaks, Hangs, Raw, Refuses, Says
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.gemini import FakeGemini
from tests.fakes.openai import FakeOpenAI
from tests.unit.infra.llm.resilience.parts import ReceivedAnswer, RecordingObserver, read_answer

MODELS = """
default = "flash"

[providers.gemini]
kind = "gemini"
base_url = "https://gemini.example"
api_key_env = "GEMINI_API_KEY"

[providers.openrouter]
kind = "openai"
base_url = "https://openrouter.example/v1"
api_key_env = "OPENROUTER_API_KEY"

[models.flash]
provider = "gemini"
upstream = "gemini-3.8-flash"
fallbacks = ["mini"]
context_tokens = 1000
max_output_tokens = 100
first_token_seconds = 0.3
input_usd_per_million = 1
output_usd_per_million = 2

[models.mini]
provider = "openrouter"
context_tokens = 1000
max_output_tokens = 100
continues = true

[models.sibling]
provider = "gemini"
fallbacks = ["mini"]
context_tokens = 1000
max_output_tokens = 100
"""


@pytest.fixture(autouse=True)
def _no_variables_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


class ProviderHarness:
    """A chain before two providers.

    Attributes:
        settings: To change before the chain is opened.
    """

    def __init__(self, tmp_path: Path, gemini: FakeGemini, openai: FakeOpenAI) -> None:
        self.gemini = gemini
        self.openai = openai
        self.watching = RecordingObserver()
        self.clock = SystemClock()
        self.settings: dict[str, Any] = {
            "gemini_api_key": SecretStr("test-key"),
            "gemini_base_url": gemini.origin,
            "openrouter_api_key": SecretStr("test-key"),
            "openrouter_base_url": openai.base_url,
            "models_file": tmp_path / "models.toml",
            "price_lookup_enabled": False,
            "retry_base_seconds": 0.001,
        }
        self.settings["models_file"].write_text(MODELS, encoding="utf-8")

    @asynccontextmanager
    async def open(self, **more: Any) -> AsyncIterator[LLM]:
        settings = Settings(_env_file=None, **self.settings, **more)
        catalogue = load_catalogue(settings, {}, self.clock)
        async with open_llm(catalogue, settings, clock=self.clock, observer=self.watching) as llm:
            yield llm


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ProviderHarness]:
    async with FakeGemini() as gemini, FakeOpenAI() as openai:
        yield ProviderHarness(tmp_path, gemini, openai)


def a_turn_of(model: str, *, is_streamed: bool = False) -> ChatRequestContext:
    context = a_chat_context(is_streamed=is_streamed)
    context.model = model
    return context


async def ask(
    llm: LLM, model: str = "flash", *, is_streamed: bool = False
) -> tuple[ReceivedAnswer, ChatRequestContext]:
    context = a_turn_of(model, is_streamed=is_streamed)
    return await read_answer(llm.client, context, Prompt.from_text("Why?", model=model)), context


async def test_each_model_is_asked_by_its_own_name_and_priced(harness: ProviderHarness) -> None:
    async with harness.open() as llm:
        heard, context = await ask(llm)
        other, _ = await ask(llm, "mini")
    assert (heard.text, other.text) == ("Hello world", "Hello world")
    assert "/models/gemini-3.8-flash:" in harness.gemini.seen[0].path
    assert harness.openai.seen[0].body["model"] == "mini"
    reply = heard.pieces[-1]
    assert isinstance(reply, Reply)
    assert reply.usage.cost_usd == pytest.approx((15 * 1 + 73 * 2) / 1e6)
    assert harness.watching.ended[0][2] == reply.usage
    assert [(a.provider, a.model, a.outcome, a.http_status) for a in context.attempts] == [
        ("gemini", "flash", "ok", 200)
    ]


async def test_a_failing_provider_is_retried_and_then_replaced(harness: ProviderHarness) -> None:
    harness.gemini.then(Refuses(503), Refuses(500))
    async with harness.open() as llm:
        heard, context = await ask(llm)
    assert (heard.text, heard.voices) == ("Hello world", ["flash", "flash", "mini"])
    assert [(a.model, a.http_status) for a in context.attempts] == [
        ("flash", 503),
        ("flash", 500),
        ("mini", 200),
    ]
    assert harness.watching.started == [(a.provider, a.model) for a in context.attempts]


async def test_a_silent_model_is_given_what_the_catalogue_says(harness: ProviderHarness) -> None:
    harness.gemini.then(Hangs())
    async with harness.open() as llm, asyncio.timeout(5.0):
        heard, context = await ask(llm)
    assert heard.voices == ["flash", "mini"]
    assert [a.outcome for a in context.attempts] == ["timeout", "ok"]
    assert context.attempts[0].seconds >= 0.3


async def test_a_stream_that_breaks_is_gone_on_with_where_it_stopped(
    harness: ProviderHarness,
) -> None:
    harness.openai.then(Breaks(["Once ", "upon "]), Says(["a ", "time"]))
    async with harness.open() as llm:
        heard, context = await ask(llm, "mini", is_streamed=True)
    assert (heard.text, heard.voices) == ("Once upon a time", ["mini", "+mini"])
    assert harness.openai.seen[1].body["messages"][-1] == {
        "role": "assistant",
        "content": "Once upon ",
    }
    assert [a.outcome for a in context.attempts] == ["unavailable", "ok"]


async def test_one_full_provider_leaves_the_other_free(harness: ProviderHarness) -> None:
    go_on = asyncio.Event()
    harness.gemini.then(Says(["Hel", go_on, "lo"]))
    async with harness.open(max_calls_per_provider=1) as llm:
        first = asyncio.create_task(ask(llm))
        while not harness.gemini.seen:
            await asyncio.sleep(0.001)
        assert [route.in_flight for route in llm.health()] == [1, 0, 1]
        heard, context = await ask(llm, "sibling")
        assert (heard.voices, len(context.attempts)) == (["mini"], 1)
        go_on.set()
        assert (await first)[0].text == "Hello"
        assert [route.in_flight for route in llm.health()] == [0, 0, 0]


async def test_the_state_of_every_route_can_be_read_at_any_time(harness: ProviderHarness) -> None:
    harness.gemini.then(*[Refuses(503)] * 3, Refuses(401))
    harness.openai.then(Refuses(429, retry_after_seconds=9))
    async with harness.open(breaker_consecutive_failures=2) as llm:
        assert [(route.provider, route.model, route.state) for route in llm.health()] == [
            ("gemini", "flash", RouteState.HEALTHY),
            ("openrouter", "mini", RouteState.HEALTHY),
            ("gemini", "sibling", RouteState.HEALTHY),
        ]
        heard, _ = await ask(llm)
        assert isinstance(heard.error, NoRoute)
        assert 1.0 <= (heard.error.retry_after_seconds or 0.0) <= 12.0
        flash, mini, _ = llm.health()
        assert (flash.state, mini.state) == (RouteState.OPEN, RouteState.COOLING)
        assert flash.closure is not None
        assert 7.9 < flash.closure.retry_after_seconds <= 12.0
        assert abs(flash.closure.since_milliseconds - harness.clock.now_milliseconds()) < 60_000
        assert flash.retry_tokens == 95


async def test_it_hangs_up_on_everybody_at_the_end(harness: ProviderHarness) -> None:
    harness.gemini.then(Says(["Hel", asyncio.Event()]))
    async with harness.open() as llm:
        pieces = llm.client.stream(Prompt.from_text("Why?"), a_turn_of("flash", is_streamed=True))
        while await anext(pieces) != "Hel":
            pass
        await pieces.aclose()
        async with asyncio.timeout(1.0):
            while not harness.gemini.left:
                await asyncio.sleep(0.001)


async def test_without_any_provider_the_demo_answers_and_says_what_it_is() -> None:
    settings, clock, watching = Settings(_env_file=None), SystemClock(), RecordingObserver()
    catalogue = load_catalogue(settings, {}, clock)
    async with open_llm(catalogue, settings, clock=clock, observer=watching) as llm:
        heard, context = await ask(llm, "demo")
    assert "not a real LLM" in heard.text
    assert heard.pieces[-1] == Reply(finish_reason=FinishReason.STOP)
    assert [(a.provider, a.outcome, a.http_status) for a in context.attempts] == [
        ("demo", "ok", None)
    ]


USED = Usage(input_tokens=40, output_tokens=2, total_tokens=42)


def fails_after_counts(wire: str) -> Raw:
    """Return an answer that says something, tells what it used by then, and makes no sense from there on."""
    if wire == "gemini":
        counts = {"promptTokenCount": 40, "candidatesTokenCount": 2, "totalTokenCount": 42}
        return Raw(
            [gemini.event({**gemini.candidate("All "), "usageMetadata": counts}), b"data: {\n\n"]
        )
    counts = {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}
    return Raw(
        [openai.event({**openai.chunk({"content": "All "}), "usage": counts}), b"data: {\n\n"]
    )


@pytest.mark.parametrize("is_enabled", [True, False])
async def test_listed_prices_are_used_only_where_the_price_look_up_is_enabled(
    harness: ProviderHarness, is_enabled: bool
) -> None:
    models = harness.settings["models_file"]
    listed = MODELS.replace("https://openrouter.example/v1", "https://openrouter.ai/api/v1")
    listed = listed.replace(
        "continues = true", 'continues = true\nupstream = "openai/gpt-5.4-mini"'
    )
    models.write_text(listed, encoding="utf-8")
    harness.settings["price_lookup_enabled"] = is_enabled
    async with harness.open() as llm:
        stated, _ = await ask(llm, "flash")
        looked_up, _ = await ask(llm, "mini")
    for heard, is_priced in ((stated, True), (looked_up, is_enabled)):
        reply = heard.pieces[-1]
        assert isinstance(reply, Reply)
        assert (reply.usage.cost_usd is not None) == is_priced


@pytest.mark.seen("A13")
async def test_each_attempt_is_priced_by_the_tariff_of_the_model_it_asked(
    harness: ProviderHarness,
) -> None:
    harness.gemini.then(fails_after_counts("gemini"))
    harness.openai.then(fails_after_counts("openai"))
    models = harness.settings["models_file"]
    priced = MODELS.replace(
        "continues = true", "input_usd_per_million = 10\noutput_usd_per_million = 20"
    )
    models.write_text(priced, encoding="utf-8")
    async with harness.open() as llm:
        _, context = await ask(llm)
    used = [attempt.usage for attempt in context.attempts if attempt.usage is not None]
    assert [usage.cost_usd for usage in used] == pytest.approx([44e-6, 440e-6])
    assert [replace(usage, cost_usd=None) for usage in used] == [USED, USED]


@pytest.mark.seen("B15")
@pytest.mark.parametrize(
    ("most", "asked"), [(None, ["flash", "flash", "mini"]), (2, ["flash", "mini"])]
)
async def test_the_number_of_attempts_is_the_operators_where_it_is_set(
    harness: ProviderHarness, most: int | None, asked: list[str]
) -> None:
    harness.gemini.then(Refuses(503), Refuses(503))
    async with harness.open(**({} if most is None else {"attempts_per_turn": most})) as llm:
        _, context = await ask(llm)
    assert [attempt.model for attempt in context.attempts] == asked


@pytest.mark.seen("B14")
@pytest.mark.parametrize(
    ("settings", "longest_seconds"),
    [
        ({}, 15.0),
        ({"breaker_open_seconds": 5.0}, 15.0),
        ({"breaker_open_seconds": 20.0}, 20.0),
        ({"breaker_open_cap_seconds": 60.0}, 60.0),
        ({"breaker_open_seconds": 30.0, "breaker_open_cap_seconds": 20.0}, 20.0),
    ],
)
def test_the_lengths_of_openings_are_the_operators_where_they_are_set(
    settings: dict[str, float], longest_seconds: float
) -> None:
    assert Settings(_env_file=None, **settings).breaker_longest_open_seconds() == longest_seconds
