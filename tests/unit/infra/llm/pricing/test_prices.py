"""What an answer costs: exactly what the price library says, or what the operator stated, and never a guess."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, TimeOfDateConstraint

from domain.entities.reply import NO_USAGE, FinishReason, Reply, Usage
from infra.llm.pricing import prices as prices_module
from infra.llm.pricing.lookup_process import periods_of
from infra.llm.pricing.priced_client import Priced
from infra.llm.pricing.prices import Prices, Wanted, open_prices
from infra.llm.pricing.tariff import Tariff
from infra.llm.providers.scripted import ScriptedLLM
from tests.fakes.clock import START_MILLISECONDS, FakeClock
from tests.unit.infra.llm.resilience.parts import PROMPT, a_chat_context, hear

GOOGLE = "https://generativelanguage.googleapis.com"
FLASH = Wanted(model="flash", upstream="gemini-3.8-flash", url=GOOGLE)
USAGES = [
    Usage(input_tokens=1_000, output_tokens=2_000),
    Usage(input_tokens=0, output_tokens=0),
    Usage(input_tokens=1_000, output_tokens=2_000, cached_input_tokens=300, reasoning_tokens=500),
    Usage(input_tokens=250_000, output_tokens=70_000, cached_input_tokens=200_000),
    Usage(input_tokens=200_000, output_tokens=1),
    Usage(input_tokens=200_001, output_tokens=1),
]
MOMENTS = [
    datetime(2026, 11, 22, 10, tzinfo=UTC),
    datetime(2026, 11, 22, 2, 30, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2027, 1, 1, tzinfo=UTC),
    datetime(2028, 2, 29, 17, tzinfo=UTC),
]


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def with_prices_that_change_by_the_hour() -> list[tuple[str, str]]:
    return [
        ("https://api.deepseek.com", model.id)
        for provider in get_snapshot().providers
        if provider.id == "deepseek"
        for model in provider.models
        if not isinstance(model.prices, ModelPrice)
        if any(isinstance(price.constraint, TimeOfDateConstraint) for price in model.prices)
    ]


MODELS = [
    (GOOGLE, "gemini-3.8-flash"),
    (GOOGLE, "gemini-3.5-flash-lite"),
    (GOOGLE, "gemini-3.1-pro-preview"),
    ("https://openrouter.ai/api/v1", "openai/gpt-5.4-mini"),
    ("https://openrouter.ai/api/v1", "google/gemini-3.8-flash"),
    ("https://api.openai.com/v1", "gpt-5.4"),
    ("https://api.perplexity.ai", "sonar-deep-research"),
    *with_prices_that_change_by_the_hour(),
]


@pytest.mark.parametrize(("url", "model"), MODELS, ids=lambda value: value)
def test_costs_are_those_of_the_library_to_the_last_digit(url: str, model: str) -> None:
    tariff = Tariff.of(periods_of(model, url))
    assert tariff is not None
    for moment in MOMENTS:
        for usage in USAGES:
            counts = {
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cache_read_tokens": usage.cached_input_tokens,
                "output_reasoning_tokens": usage.reasoning_tokens,
            }
            expected = genai_prices.calc_price(
                genai_prices.Usage(**counts),
                model,
                provider_api_url=url,
                genai_request_timestamp=moment,
            )
            cost = tariff.usd(usage, milliseconds(moment))
            assert cost == pytest.approx(float(expected.total_price), rel=1e-12), (moment, usage)


@pytest.mark.parametrize(
    ("model", "url"), [("gemini-3.8-flash", "http://localhost:1/v1"), ("no-such-model", GOOGLE)]
)
def test_what_the_library_does_not_know_has_no_price(model: str, url: str) -> None:
    assert periods_of(model, url) == []


def test_a_price_of_input_alone_is_none() -> None:
    assert Tariff.of([{"steps": [{"above_input_tokens": -1, "input": 1.0}]}]) is None


@pytest.mark.parametrize(
    "usage", [NO_USAGE, Usage(input_tokens=1), Usage(output_tokens=1), Usage(total_tokens=5)]
)
def test_counts_that_were_not_given_are_not_guessed(usage: Usage) -> None:
    assert Tariff.fixed(1.0, 2.0).usd(usage, START_MILLISECONDS) is None


def test_more_cached_than_was_sent_costs_no_less_than_all_of_it_cached() -> None:
    step = {"above_input_tokens": -1, "input": 10.0, "cached_input": 1.0, "output": 0.0}
    tariff = Tariff.of([{"steps": [step]}])
    assert tariff is not None
    usage = Usage(input_tokens=100, output_tokens=0, cached_input_tokens=5_000)
    assert tariff.usd(usage, START_MILLISECONDS) == pytest.approx(100 * 1e-6)


def test_a_price_that_begins_on_a_day_begins_at_midnight_utc() -> None:
    def period(price: float) -> dict[str, object]:
        return {"steps": [{"above_input_tokens": -1, "input": price, "output": 0.0}]}

    tariff = Tariff.of([{"from_date": "2027-01-01", **period(2.0)}, period(1.0)])
    assert tariff is not None
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    midnight = milliseconds(datetime(2027, 1, 1, tzinfo=UTC))
    assert [tariff.usd(usage, midnight + n) for n in (-1, 0)] == [1.0, 2.0]


@pytest.fixture
async def loaded() -> AsyncIterator[Prices]:
    stated = {"mine": Tariff.fixed(1.0, 10.0)}
    unknown = Wanted(model="local", upstream="llama4", url="http://localhost:11434/v1")
    async with open_prices(stated, [FLASH, unknown], FakeClock()) as prices:
        await prices.loaded()
        yield prices


async def test_prices_are_looked_up_and_stated_ones_are_taken(loaded: Prices) -> None:
    million = Usage(input_tokens=1_000_000, output_tokens=1_000_000, total_tokens=2_000_000)
    assert loaded.of("flash")(million).cost_usd == pytest.approx(0.75 + 3.75)
    assert loaded.of("mine")(million).cost_usd == pytest.approx(11.0)
    assert loaded.of("local")(million) == million
    assert loaded.of("flash")(million).total_tokens == 2_000_000


async def test_what_the_provider_says_it_charges_counts_for_more_than_a_list(
    loaded: Prices,
) -> None:
    charged = Usage(input_tokens=1_000_000, output_tokens=0, cost_usd=0.5)
    assert loaded.of("flash")(charged).cost_usd == 0.5
    assert loaded.of("mine")(charged).cost_usd == pytest.approx(1.0)  # the operator knows better


async def test_the_library_stays_out_of_the_process() -> None:
    program = (
        "import asyncio, sys\n"
        "from infra.clock import SystemClock\n"
        "from infra.llm.pricing.prices import Wanted, open_prices\n"
        "async def main():\n"
        f"    async with open_prices({{}}, [{FLASH!r}], SystemClock()) as prices:\n"
        "        await prices.loaded()\n"
        "asyncio.run(main())\n"
        "print('genai_prices' in sys.modules)\n"
    )
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(prices_module.__file__).parents[3],
    )
    assert (ran.stdout.strip(), ran.stderr) == ("False", "")


async def test_closing_does_not_wait_for_the_look_up() -> None:
    async with open_prices({}, [FLASH], FakeClock()) as prices:
        await asyncio.sleep(0)
    assert prices.are_loaded
    usage = Usage(input_tokens=1, output_tokens=1)
    assert prices.of("flash")(usage).cost_usd is None


async def test_with_nothing_to_look_up_no_process_is_started() -> None:
    async with open_prices({"flash": Tariff.fixed(1, 1)}, [FLASH], FakeClock()) as prices:
        await asyncio.sleep(0)
        assert prices.are_loaded


async def test_without_the_library_costs_stay_unknown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    broken = tmp_path / "reader.py"
    broken.write_text("import no_such_library", encoding="utf-8")
    monkeypatch.setattr(prices_module, "_READER", broken)
    async with open_prices({}, [FLASH], FakeClock()) as prices:
        await prices.loaded()
    usage = Usage(input_tokens=1, output_tokens=1)
    assert prices.of("flash")(usage).cost_usd is None
    assert "costs stay unknown" in caplog.text


async def test_the_library_is_not_shown_the_secrets_of_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    reader = tmp_path / "reader.py"
    reader.write_text(
        f"import os, pathlib; pathlib.Path({str(seen)!r}).write_text(str(dict(os.environ))); print('{{}}')"
    )
    monkeypatch.setattr(prices_module, "_READER", reader)
    monkeypatch.setenv("GEMINI_API_KEY", "canary")
    async with open_prices({}, [FLASH], FakeClock()) as prices:
        await prices.loaded()
    assert "PATH" in seen.read_text()
    assert "canary" not in seen.read_text()


async def test_the_first_answers_wait_for_their_price() -> None:
    clock = FakeClock()
    prices = Prices({}, clock)
    reply = Reply(
        finish_reason=FinishReason.STOP, usage=Usage(input_tokens=1_000_000, output_tokens=0)
    )
    client = Priced(ScriptedLLM(["yes", reply]), prices=prices, cost=prices.of("flash"))
    answering = asyncio.create_task(hear(client, a_chat_context(clock)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not answering.done()
    await prices.load([FLASH])
    last = (await answering).pieces[-1]
    assert isinstance(last, Reply)
    assert last.usage.cost_usd == pytest.approx(0.75)


async def test_who_leaves_while_prices_load_hangs_up() -> None:
    clock = FakeClock()
    prices = Prices({}, clock)
    llm = ScriptedLLM("yes")
    client = Priced(llm, prices=prices, cost=prices.of("flash"))
    async with aclosing(client.stream(PROMPT, a_chat_context(clock))) as pieces:
        await anext(pieces)
    assert llm.hung_up == 1
