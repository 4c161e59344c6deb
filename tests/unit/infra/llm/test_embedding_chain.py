"""The whole way to an embeddings model, around real connections to providers that check what they are asked."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from domain.entities.chat_request_context import ChatRequestContext, Operation
from domain.entities.embeddings.embedding import EmbeddingInput, EmbeddingRequest, Embeddings
from domain.entities.reply import Usage
from domain.exceptions import (
    ContextTooLong,
    DomainError,
    LLMMisconfigured,
    LLMRateLimited,
    LLMRejected,
    LLMTimeout,
    LLMUnavailable,
    NoRoute,
    Overloaded,
    UnsupportedInput,
)
from infra.clock import SystemClock
from infra.llm.catalogue.loader import load_catalogue
from infra.llm.chain import LLM, open_llm
from infra.llm.resilience.route_health import RouteState
from infra.settings import Settings
from infra.telemetry.metrics.metrics import Metrics
from tests.fakes import openai
from tests.fakes.behaviour import Breaks, Hangs, Raw, Refuses, Says
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.embeddings import (
    TOKENS,
    FakeGeminiEmbeddings,
    FakeOpenAIEmbeddings,
    vector_for,
)

MODELS = """
default = "chat"

[providers.gemini]
kind = "gemini"
base_url = "https://gemini.example"
api_key_env = "GEMINI_API_KEY"

[providers.one]
kind = "openai"
base_url = "{one}"
api_key_env = "ONE_KEY"

[providers.two]
kind = "openai"
base_url = "{two}"
api_key_env = "ONE_KEY"

[models.chat]
provider = "gemini"

[models.google]
provider = "gemini"
upstream = "gemini-embedding-001"
capabilities = ["embeddings"]

[models.small]
provider = "one"
upstream = "text-embedding-3-small"
capabilities = ["embeddings"]
fallbacks = ["small-too"]
first_token_seconds = 0.3
input_usd_per_million = 2

[models.small-too]
provider = "two"
upstream = "openai/text-embedding-3-small"
capabilities = ["embeddings"]

[models.alone]
provider = "one"
upstream = "text-embedding-3-large"
capabilities = ["embeddings"]
"""


@pytest.fixture(autouse=True)
def _no_variables_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


class ProviderHarness:
    """Chains before three providers."""

    def __init__(
        self,
        folder: Path,
        google: FakeGeminiEmbeddings,
        one: FakeOpenAIEmbeddings,
        two: FakeOpenAIEmbeddings,
    ) -> None:
        self.google, self.one, self.two = google, one, two
        self.metrics = Metrics(version="0", environment="test")
        self.models_file = folder / "models.toml"
        text = MODELS.replace("{one}", one.base_url).replace("{two}", two.base_url)
        self.models_file.write_text(text, encoding="utf-8")

    @asynccontextmanager
    async def open(self, **more: Any) -> AsyncIterator[LLM]:
        clock = SystemClock()
        chosen = Settings(
            _env_file=None,
            gemini_api_key=SecretStr("test-key"),
            gemini_base_url=self.google.origin,
            models_file=self.models_file,
            price_lookup_enabled=False,
            retry_base_seconds=0.001,
            **more,
        )
        catalogue = load_catalogue(chosen, {"ONE_KEY": "test-key"}, clock)
        async with open_llm(catalogue, chosen, clock=clock, observer=self.metrics) as llm:
            yield llm


@asynccontextmanager
async def harness_in(folder: Path) -> AsyncIterator[ProviderHarness]:
    async with (
        FakeGeminiEmbeddings() as google,
        FakeOpenAIEmbeddings() as one,
        FakeOpenAIEmbeddings() as two,
    ):
        yield ProviderHarness(folder, google, one, two)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ProviderHarness]:
    async with harness_in(tmp_path) as harness:
        yield harness


async def embed(
    llm: LLM, model: str, *inputs: EmbeddingInput, seconds: float = 60.0, **more: Any
) -> tuple[Embeddings | DomainError, ChatRequestContext]:
    context = a_chat_context(first_text_seconds=seconds, whole_seconds=seconds)
    context.operation, context.model = Operation.EMBEDDINGS, model
    request = EmbeddingRequest(inputs=inputs or ("Why?",), model=model, **more)
    try:
        return await llm.embeddings.embed(request, context), context
    except DomainError as error:
        return error, context


def vectors_of(answer: Embeddings | DomainError) -> list[list[float]]:
    assert isinstance(answer, Embeddings), answer
    return [list(vector) for vector in answer.vectors]


def outcomes(context: ChatRequestContext) -> list[tuple[str, str, int | None]]:
    return [(each.model, each.outcome, each.http_status) for each in context.attempts]


async def test_an_openai_provider_is_asked_for_all_inputs_at_once(harness: ProviderHarness) -> None:
    async with harness.open() as llm:
        answer, context = await embed(llm, "small", "Why?", "How?")
    assert vectors_of(answer) == [vector_for("Why?"), vector_for("How?")]
    (seen,) = harness.one.seen
    assert seen.body == {
        "model": "text-embedding-3-small",
        "input": ["Why?", "How?"],
        "encoding_format": "float",
    }
    assert seen.headers["Accept"] == "application/json"
    assert isinstance(answer, Embeddings)
    assert answer.model == "small"
    tokens = 2 * TOKENS
    assert answer.usage == Usage(
        input_tokens=tokens, total_tokens=tokens, cost_usd=tokens * (2 / 1_000_000)
    )
    assert [attempt.usage for attempt in context.attempts] == [answer.usage]


async def test_vectors_are_put_in_the_order_of_their_indexes(harness: ProviderHarness) -> None:
    harness.one.is_reversed = True
    async with harness.open() as llm:
        answer, _ = await embed(llm, "small", "a", "b", "c")
    assert vectors_of(answer) == [vector_for("a"), vector_for("b"), vector_for("c")]


async def test_lists_of_tokens_and_dimensions_are_passed_on(harness: ProviderHarness) -> None:
    async with harness.open() as llm:
        answer, _ = await embed(llm, "small", (1, 2), (3,), dimensions=2)
    assert vectors_of(answer) == [vector_for((1, 2), 2), vector_for((3,), 2)]
    assert harness.one.seen[0].body["input"] == [[1, 2], [3]]
    assert harness.one.seen[0].body["dimensions"] == 2


async def test_google_takes_texts_only_and_is_then_not_called(harness: ProviderHarness) -> None:
    async with harness.open() as llm:
        answer, context = await embed(llm, "google", (1, 2))
    assert isinstance(answer, UnsupportedInput)
    assert answer.field == "input"
    assert (context.attempts, harness.google.seen) == ([], [])


async def test_google_is_asked_in_batches_of_a_hundred(harness: ProviderHarness) -> None:
    texts = [f"text {number}" for number in range(201)]
    async with harness.open() as llm:
        answer, context = await embed(llm, "google", *texts)
    assert vectors_of(answer) == [vector_for(text) for text in texts]
    assert [len(seen.body["requests"]) for seen in harness.google.seen] == [100, 100, 1]
    assert harness.google.seen[0].path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    assert harness.google.seen[2].body["requests"] == [
        {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "text 200"}]}}
    ]
    assert isinstance(answer, Embeddings)
    assert not answer.usage.is_reported
    assert outcomes(context) == [("google", "ok", 200)]


async def test_google_s_tokens_are_added_up_where_it_reports_them(harness: ProviderHarness) -> None:
    harness.google.reports_tokens = True
    async with harness.open() as llm:
        answer, _ = await embed(llm, "google", *["x"] * 101)
    assert isinstance(answer, Embeddings)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (101 * TOKENS, None)


async def test_shortened_vectors_of_google_have_length_1(harness: ProviderHarness) -> None:
    async with harness.open() as llm:
        answer, _ = await embed(llm, "google", "Why?", dimensions=3)
    (vector,) = vectors_of(answer)
    assert harness.google.seen[0].body["requests"][0]["outputDimensionality"] == 3
    assert math.hypot(*vector) == pytest.approx(1.0)
    expected = vector_for("Why?", 3)
    assert vector == pytest.approx([number / math.hypot(*expected) for number in expected])


async def test_a_failure_is_retried_and_then_the_same_model_elsewhere_answers(
    harness: ProviderHarness,
) -> None:
    harness.one.then(Refuses(503), Breaks())
    async with harness.open() as llm:
        answer, context = await embed(llm, "small")
    assert vectors_of(answer) == [vector_for("Why?")]
    assert isinstance(answer, Embeddings)
    assert answer.model == "small-too"
    assert harness.two.seen[0].body["model"] == "openai/text-embedding-3-small"
    assert outcomes(context) == [
        ("small", "unavailable", 503),
        ("small", "unavailable", 200),
        ("small-too", "ok", 200),
    ]


async def test_a_silent_provider_is_left_in_time(harness: ProviderHarness) -> None:
    harness.one.then(Hangs())
    async with harness.open() as llm, asyncio.timeout(120):
        answer, context = await embed(llm, "small")
    assert isinstance(answer, Embeddings)
    assert outcomes(context) == [("small", "timeout", None), ("small-too", "ok", 200)]


async def test_the_deadline_of_the_request_holds(harness: ProviderHarness) -> None:
    harness.one.then(Hangs())
    async with harness.open() as llm, asyncio.timeout(120):
        answer, _ = await embed(llm, "alone", seconds=0.2)
        assert isinstance(answer, LLMTimeout)
        while not harness.one.left:  # and the connection is closed
            await asyncio.sleep(0.001)


async def test_a_circuit_opens_for_a_model_that_keeps_failing(harness: ProviderHarness) -> None:
    harness.one.then(*[Refuses(503)] * 4)
    async with harness.open(breaker_consecutive_failures=2) as llm:
        first, _ = await embed(llm, "alone")
        second, context = await embed(llm, "alone")
        states = {route.model: route.state for route in llm.health()}
    assert isinstance(first, NoRoute | LLMUnavailable)
    assert isinstance(second, NoRoute)
    assert context.attempts == []
    assert states["alone"] is RouteState.OPEN
    assert states["small"] is RouteState.HEALTHY


async def test_the_state_of_a_route_tells_whether_it_computes_embeddings(
    harness: ProviderHarness,
) -> None:
    async with harness.open() as llm:
        chat_models = {route.model for route in llm.health() if not route.computes_embeddings}
    assert chat_models == {"chat"}


async def test_a_rate_limit_pauses_the_model(harness: ProviderHarness) -> None:
    harness.one.then(Refuses(429, retry_after_seconds=30))
    async with harness.open() as llm:
        first, _ = await embed(llm, "alone")
        second, _ = await embed(llm, "alone")
    assert isinstance(first, NoRoute | LLMRateLimited)
    assert isinstance(second, NoRoute)
    assert len(harness.one.seen) == 1


async def test_calls_of_a_provider_are_limited(harness: ProviderHarness) -> None:
    harness.one.then(Hangs())
    async with harness.open(max_calls_per_provider=1) as llm:
        waiting = asyncio.create_task(embed(llm, "alone"))
        while not harness.one.seen:
            await asyncio.sleep(0.001)
        refused, _ = await embed(llm, "alone")
        elsewhere, _ = await embed(llm, "small")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert isinstance(refused, Overloaded)
    assert isinstance(elsewhere, Embeddings)
    assert elsewhere.model == "small-too"


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refuses(400), LLMRejected),
        (Refuses(400, reason="too long"), ContextTooLong),
        (Refuses(401, reason="bad key"), LLMMisconfigured),
        (openai.whole({"error": {"message": "made up", "code": 400}}), LLMRejected),
        (openai.error(404), LLMMisconfigured),
    ],
)
async def test_refusals_have_the_meaning_that_those_of_chats_have(
    harness: ProviderHarness, refusal: Refuses | Raw, error: type[DomainError]
) -> None:
    harness.one.then(refusal)
    async with harness.open() as llm:
        answer, _ = await embed(llm, "alone")
    assert isinstance(answer, error)


def of_data(*data: object) -> Raw:
    return openai.whole({"data": list(data)})


@pytest.mark.parametrize(
    "answer",
    [
        openai.whole([]),
        openai.whole({}),
        openai.whole({"data": "x"}),
        of_data(),
        of_data("x"),
        of_data({"index": 0, "embedding": []}),
        of_data({"index": 0, "embedding": [True]}),
        of_data({"index": 0, "embedding": ["0.1"]}),
        of_data({"index": 0, "embedding": "not base64"}),
        of_data({"index": 0, "embedding": "AAA="}),
        of_data({"index": 0, "embedding": "AADAfw=="}),  # not a number
        of_data({"index": 1, "embedding": [0.1]}),
        of_data({"index": [], "embedding": [0.1]}),
        of_data({"embedding": [0.1]}, {"embedding": [0.2]}),
        Raw([b'{"data":[{"embedding":[0.1'], content_type="application/json", whole=True),
    ],
)
async def test_an_answer_that_makes_no_sense_is_a_failure_of_the_provider(
    harness: ProviderHarness, answer: Raw
) -> None:
    harness.one.then(answer)
    async with harness.open() as llm:
        result, context = await embed(llm, "alone")
    assert isinstance(result, LLMUnavailable)
    assert outcomes(context) == [("alone", "unavailable", 200)]


async def test_vectors_that_differ_in_length_are_no_answer(harness: ProviderHarness) -> None:
    harness.one.then(of_data({"embedding": [0.1]}, {"embedding": [0.1, 0.2]}))
    async with harness.open() as llm:
        result, _ = await embed(llm, "alone", "a", "b")
    assert isinstance(result, LLMUnavailable)


async def test_an_answer_in_base64_is_read_without_having_been_asked_for(
    harness: ProviderHarness,
) -> None:
    harness.one.then(of_data({"index": 0, "embedding": "AACAPwAAAMA="}))
    async with harness.open() as llm:
        answer, _ = await embed(llm, "alone", takes_single_precision=True)
    assert vectors_of(answer) == [[1.0, -2.0]]
    assert harness.one.seen[0].body["encoding_format"] == "float"


async def test_a_large_answer_is_read_whole(harness: ProviderHarness) -> None:
    texts = [f"text {number}" for number in range(2048)]
    async with harness.open() as llm:
        answer, _ = await embed(llm, "alone", *texts, dimensions=64)
    assert vectors_of(answer) == [vector_for(text, 64) for text in texts]


async def test_calls_are_counted_as_embeddings(harness: ProviderHarness) -> None:
    harness.one.then(Refuses(503), Says([]))
    async with harness.open() as llm:
        await embed(llm, "small")
    text = harness.metrics.render().decode()
    labels = (
        'gen_ai_operation_name="embeddings",gen_ai_provider_name="one",'
        'gen_ai_request_model="small",gen_ai_response_model="small"'
    )
    durations = "gen_ai_client_operation_duration_seconds_count{error_type="
    assert f'{durations}"",{labels}}} 1.0' in text
    assert f'{durations}"unavailable",{labels}}} 1.0' in text
    tokens = "gen_ai_client_token_usage_sum{" + labels + ',gen_ai_token_type="input"} 5.0'
    assert tokens in text
    assert labels + ',gen_ai_token_type="output"} 0.0' in text
    assert 'gen_ai_operation_name="chat"' not in text


async def test_the_demo_returns_the_same_vector_of_length_1_for_the_same_input() -> None:
    chosen, clock = Settings(_env_file=None), SystemClock()
    catalogue = load_catalogue(chosen, {}, clock)
    metrics = Metrics(version="0", environment="test")
    async with open_llm(catalogue, chosen, clock=clock, observer=metrics) as llm:
        answer, _ = await embed(llm, "demo-embeddings", "Why?", "How?", "Why?")
        short, _ = await embed(llm, "demo-embeddings", "Why?", dimensions=3)
        long, _ = await embed(llm, "demo-embeddings", *["Why?"] * 9, dimensions=8192)
        tokens, _ = await embed(llm, "demo-embeddings", (1, 2), (1, 2), (1, 3))
    first, second, third = vectors_of(answer)
    assert first == third != second
    assert len(first) == 256
    assert math.hypot(*first) == pytest.approx(1.0)
    assert len(vectors_of(short)[0]) == 3
    assert [len(vector) for vector in vectors_of(long)] == [8192] * 9
    one, same, other = vectors_of(tokens)
    assert one == same != other


@contextmanager
def event_loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(texts=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=120), data=st.data())
def test_the_order_of_vectors_is_that_of_the_inputs(
    tmp_path: Path, texts: list[str], data: st.DataObject
) -> None:
    model = data.draw(st.sampled_from(["google", "small"]))
    is_reversed = data.draw(st.booleans())

    async def ask() -> Embeddings | DomainError:
        async with harness_in(tmp_path) as harness:
            harness.one.is_reversed = is_reversed
            async with harness.open() as llm:
                answer, _ = await embed(llm, model, *texts)
                return answer

    with event_loop() as runner:
        answer = runner.run(ask())
    assert vectors_of(answer) == [vector_for(text) for text in texts]
