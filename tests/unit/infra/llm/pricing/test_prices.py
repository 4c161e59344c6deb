"""Costs: exactly those of the price library, or of the prices an operator states, and never a guess."""

from dataclasses import replace
from datetime import UTC, datetime

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, TimeOfDateConstraint

from deploy.packages.prices import PRICE_LIST, price_list
from domain.entities.reply import NO_USAGE, Usage
from infra.llm.pricing.price_list import PriceQuery, look_up
from infra.llm.pricing.prices import Prices
from infra.llm.pricing.tariff import Tariff
from tests.fakes.clock import START_MILLISECONDS, FakeClock

GOOGLE = "https://generativelanguage.googleapis.com"
OPENROUTER = "https://openrouter.ai/api/v1"
USAGES = [
    Usage(input_tokens=1_000, output_tokens=2_000),
    Usage(input_tokens=0, output_tokens=0),
    Usage(input_tokens=1_000, output_tokens=2_000, cached_input_tokens=300, reasoning_tokens=500),
    Usage(input_tokens=250_000, output_tokens=70_000, cached_input_tokens=200_000),
    Usage(
        input_tokens=90_000,
        output_tokens=70,
        cached_input_tokens=40_000,
        cache_write_tokens=30_000,
    ),
    Usage(
        input_tokens=250_000,
        output_tokens=70,
        cache_write_tokens=200_000,
        hour_cache_write_tokens=50_000,
    ),
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


def tariff_of(upstream: str, url: str) -> Tariff | None:
    return look_up([PriceQuery(model="m", upstream=upstream, url=url)]).get("m")


def models_priced_by_the_hour() -> list[tuple[str, str]]:
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
    (OPENROUTER, "openai/gpt-5.4-mini"),
    (OPENROUTER, "google/gemini-3.8-flash"),
    ("https://api.openai.com/v1", "gpt-5.4"),
    ("https://api.openai.com/v1", "GPT-5.4"),
    ("https://api.perplexity.ai", "sonar-deep-research"),
    ("https://api.openai.com/v1", "gpt-5.6-luna"),
    ("https://api.anthropic.com", "claude-sonnet-4-6"),
    ("https://bedrock-runtime.us-east-1.amazonaws.com", "us.amazon.nova-micro-v1:0"),
    ("https://bedrock-runtime.us-east-1.amazonaws.com", "us.anthropic.claude-sonnet-4-6"),
    *models_priced_by_the_hour(),
]


@pytest.mark.parametrize(
    ("url", "model", "usd_per_million"),
    [
        (GOOGLE, "gemini-embedding-001", 0.15),
        ("https://api.openai.com/v1", "text-embedding-3-small", 0.02),
    ],
)
def test_embeddings_cost_what_their_input_costs(
    url: str, model: str, usd_per_million: float
) -> None:
    tariff = tariff_of(model, url)
    assert tariff is not None
    cost = tariff.usd(Usage(input_tokens=1_000_000, output_tokens=0), START_MILLISECONDS)
    assert cost == pytest.approx(usd_per_million)


def test_the_price_list_is_that_of_the_locked_library() -> None:
    assert PRICE_LIST.read_text(encoding="utf-8") == price_list(), "run `make lock`"


@pytest.mark.parametrize(("url", "model"), MODELS, ids=lambda value: value)
def test_costs_are_those_of_the_library_to_the_last_digit(url: str, model: str) -> None:
    tariff = tariff_of(model, url)
    assert tariff is not None
    for moment in MOMENTS:
        for usage in USAGES:
            counts = {
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cache_read_tokens": usage.cached_input_tokens,
                "cache_write_tokens": usage.cache_write_tokens,
                "cache_write_1h_tokens": usage.hour_cache_write_tokens,
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


URLS = [
    GOOGLE,
    OPENROUTER,
    "https://api.anthropic.com/v1",
    "https://api.deepseek.com",
    "https://api.groq.com/openai/v1",
    "https://api.mistral.ai/v1",
    "https://api.openai.com/v1",
    "https://api.x.ai/v1",
    "https://resource.openai.azure.com/openai/v1",
    "https://bedrock-runtime.us-east-1.amazonaws.com",
]
SPELLINGS = [f"{model}{date}" for _, model in MODELS for date in ("", "-20260317", "-2026-03-17")]


@pytest.mark.parametrize("url", URLS)
def test_the_models_with_a_price_are_those_the_library_knows(url: str) -> None:
    snapshot = get_snapshot()
    names = [*SPELLINGS, *(model.id for each in snapshot.providers for model in each.models[::9])]
    priced = look_up(PriceQuery(model=name, upstream=name, url=url) for name in names)
    for name in names:
        try:
            _, model = snapshot.find_provider_model(name, None, None, url)
        except LookupError:
            assert name not in priced
            continue
        prices = model.get_prices(MOMENTS[0])
        has_output = prices.output_mtok is not None or "embed" in model.id.lower()
        has_both = prices.input_mtok is not None and has_output
        assert (name in priced) == has_both, name


@pytest.mark.parametrize(
    ("model", "url"), [("gemini-3.8-flash", "http://localhost:1/v1"), ("no-such-model", GOOGLE)]
)
def test_a_model_the_library_does_not_know_has_no_price(model: str, url: str) -> None:
    assert tariff_of(model, url) is None


def test_another_model_with_a_price_of_input_alone_has_none() -> None:
    assert tariff_of("babbage", "https://resource.openai.azure.com/openai/v1") is None


@pytest.mark.parametrize(
    "usage", [NO_USAGE, Usage(input_tokens=1), Usage(output_tokens=1), Usage(total_tokens=5)]
)
def test_counts_that_were_not_given_are_not_guessed(usage: Usage) -> None:
    assert Tariff.fixed(1.0, 2.0).usd(usage, START_MILLISECONDS) is None


def test_more_cached_than_was_sent_costs_no_less_than_all_of_it_cached() -> None:
    step = {"above_input_tokens": -1, "input": 10.0, "cached_input": 1.0, "output": 0.0}
    tariff = Tariff.from_periods([{"steps": [step]}])
    usage = Usage(input_tokens=100, output_tokens=0, cached_input_tokens=5_000)
    assert tariff.usd(usage, START_MILLISECONDS) == pytest.approx(100 * 1e-6)


def test_cached_input_has_a_stated_price_of_its_own_or_that_of_other_input() -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=0, cached_input_tokens=400_000)
    assert Tariff.fixed(10.0, 20.0).usd(usage, 0) == pytest.approx(10.0)
    assert Tariff.fixed(10.0, 20.0, 1.0).usd(usage, 0) == pytest.approx(6.0 + 0.4)


def test_what_is_written_to_a_cache_has_a_price_of_its_own() -> None:
    usage = Usage(
        input_tokens=1_000_000,
        output_tokens=0,
        cached_input_tokens=400_000,
        cache_write_tokens=500_000,
        hour_cache_write_tokens=200_000,
    )
    assert Tariff.fixed(10.0, 20.0, 1.0).usd(usage, 0) == pytest.approx(6.0 + 0.4)
    assert Tariff.fixed(10.0, 20.0, 1.0, 12.0).usd(usage, 0) == pytest.approx(1.0 + 0.4 + 6.0)
    prices = {"input": 10.0, "cached_input": 1.0, "cache_write": 12.0, "hour_cache_write": 20.0}
    listed = Tariff.from_periods([{"steps": [{"above_input_tokens": -1, "output": 0.0, **prices}]}])
    assert listed.usd(usage, 0) == pytest.approx(1.0 + 0.4 + 3.6 + 4.0)
    too_many = replace(usage, cache_write_tokens=5_000_000, hour_cache_write_tokens=6_000_000)
    assert listed.usd(too_many, 0) == pytest.approx(0.4 + 12.0)


def test_a_price_that_begins_on_a_day_begins_at_midnight_utc() -> None:
    def period(price: float) -> dict[str, object]:
        return {"steps": [{"above_input_tokens": -1, "input": price, "output": 0.0}]}

    tariff = Tariff.from_periods([{"from_date": "2027-01-01", **period(2.0)}, period(1.0)])
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    midnight = milliseconds(datetime(2027, 1, 1, tzinfo=UTC))
    assert [tariff.usd(usage, midnight + n) for n in (-1, 0)] == [1.0, 2.0]


@pytest.fixture
def prices() -> Prices:
    stated = {"mine": Tariff.fixed(1.0, 10.0)}
    queries = [
        PriceQuery(model="flash", upstream="gemini-3.8-flash", url=GOOGLE),
        PriceQuery(model="mine", upstream="gemini-3.8-flash", url=GOOGLE),
        PriceQuery(model="local", upstream="llama4", url="http://localhost:11434/v1"),
    ]
    return Prices(stated, look_up(queries), FakeClock())


def test_stated_prices_override_listed_ones(prices: Prices) -> None:
    million = Usage(input_tokens=1_000_000, output_tokens=1_000_000, total_tokens=2_000_000)
    assert prices.calculator("flash")(million).cost_usd == pytest.approx(0.75 + 3.75)
    assert prices.calculator("mine")(million).cost_usd == pytest.approx(11.0)
    assert prices.calculator("local")(million) == million
    assert prices.calculator("flash")(million).total_tokens == 2_000_000


@pytest.mark.parametrize("model", ["flash", "mine", "local"])
def test_only_the_price_needs_to_know_how_long_a_cache_is_kept(prices: Prices, model: str) -> None:
    written = Usage(input_tokens=9, output_tokens=1, cache_write_tokens=5)
    hour = replace(written, hour_cache_write_tokens=5)
    priced = prices.calculator(model)(hour)
    assert replace(priced, cost_usd=None) == written


def test_the_cost_a_provider_reports_overrides_a_listed_price_but_not_a_stated_one(
    prices: Prices,
) -> None:
    charged = Usage(input_tokens=1_000_000, output_tokens=0, cost_usd=0.5)
    assert prices.calculator("flash")(charged).cost_usd == 0.5
    assert prices.calculator("mine")(charged).cost_usd == pytest.approx(1.0)
