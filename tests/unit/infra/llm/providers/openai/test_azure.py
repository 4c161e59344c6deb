"""Azure OpenAI: its header, its content filter, and its odd chunks."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domain.entities.reply import FinishReason, Reply
from domain.exceptions import ContentBlocked, LLMMisconfigured, LLMRateLimited
from infra.clock import SystemClock
from infra.llm.catalogue.loader import load_catalogue
from infra.llm.chain import open_llm
from infra.llm.providers.openai.answer import OpenAIReader
from infra.llm.transport.stream_decoder import ReceivedAnswer as Decoder
from infra.settings import Settings
from tests.fakes import azure
from tests.fakes.azure import FakeAzure
from tests.fakes.behaviour import Behaviour, Raw
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.openai import error, whole
from tests.unit.infra.llm.resilience.parts import ReceivedAnswer, RecordingObserver, read_answer

MODELS = """
default = "mini"

[providers.azure]
kind = "openai"
base_url = "{azure}"
api_key_env = "AZURE_OPENAI_API_KEY"
api_key_header = "api-key"

[models.mini]
provider = "azure"
upstream = "my-deployment"
fallbacks = ["other"]

[models.other]
provider = "azure"
"""


@pytest.fixture(autouse=True)
def _no_variables_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def fake() -> AsyncIterator[FakeAzure]:
    async with FakeAzure() as fake:
        yield fake


async def ask(
    fake: FakeAzure, tmp_path: Path, *behaviours: Behaviour, key: str = "test-key"
) -> ReceivedAnswer:
    fake.then(*behaviours)
    file = tmp_path / "models.toml"
    file.write_text(MODELS.format(azure=fake.base_url), encoding="utf-8")
    settings = Settings(_env_file=None, models_file=file, price_lookup_enabled=False)
    clock, context = SystemClock(), a_chat_context()
    context.model = "mini"
    catalogue = load_catalogue(settings, {"AZURE_OPENAI_API_KEY": key}, clock)
    async with open_llm(catalogue, settings, clock=clock, observer=RecordingObserver()) as llm:
        return await read_answer(llm.client, context)


async def test_the_key_is_sent_in_the_header_of_the_models_file(
    fake: FakeAzure, tmp_path: Path
) -> None:
    answer = await ask(fake, tmp_path)
    assert answer.text == "Hello world"
    (seen,) = fake.seen
    assert seen.headers["api-key"] == "test-key"
    assert "Authorization" not in seen.headers
    assert seen.body["model"] == "my-deployment"


async def test_a_wrong_key_is_misconfigured(fake: FakeAzure, tmp_path: Path) -> None:
    answer = await ask(fake, tmp_path, key="wrong")
    assert isinstance(answer.error, LLMMisconfigured)


@pytest.mark.parametrize("is_asynchronous", [False, True])
async def test_chunks_of_the_filter_are_no_part_of_the_answer(
    fake: FakeAzure, tmp_path: Path, is_asynchronous: bool
) -> None:
    said = azure.answer("Hel", "lo", is_asynchronous=is_asynchronous)
    answer = await ask(fake, tmp_path, said)
    assert (answer.text, answer.error) == ("Hello", None)
    reply = answer.pieces[-1]
    assert isinstance(reply, Reply)
    assert reply.finish_reason is FinishReason.STOP
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (7, 5)


@pytest.mark.parametrize("is_asynchronous", [False, True])
async def test_an_answer_that_the_filter_ends_keeps_its_text_and_is_blocked(
    fake: FakeAzure, tmp_path: Path, is_asynchronous: bool
) -> None:
    said = azure.answer(
        "Hel", "lo", finish_reason="content_filter", is_asynchronous=is_asynchronous
    )
    answer = await ask(fake, tmp_path, said)
    assert answer.text == "Hello"
    reply = answer.pieces[-1]
    assert isinstance(reply, Reply)
    assert reply.finish_reason is FinishReason.CONTENT_FILTER
    assert len(fake.seen) == 1


async def test_an_answer_that_the_filter_ends_before_any_text_is_blocked(
    fake: FakeAzure, tmp_path: Path
) -> None:
    answer = await ask(fake, tmp_path, azure.answer(finish_reason="content_filter"))
    assert isinstance(answer.error, ContentBlocked)
    assert len(fake.seen) == 1


def coded(code: str | None, inner: str | None) -> Any:
    """Return the refusal of a prompt with these codes only."""
    body = azure.filtered_prompt()
    body["error"]["code"] = code
    body["error"]["message"] = "made up"
    if inner is None:
        del body["error"]["innererror"]
    else:
        body["error"]["innererror"]["code"] = inner
    return body


@pytest.mark.parametrize(
    "body",
    [
        azure.filtered_prompt(),
        coded("content_filter", None),
        coded(None, "ResponsibleAIPolicyViolation"),
        coded("400", "ResponsibleAIPolicyViolation"),
    ],
)
async def test_a_filtered_prompt_is_blocked_and_no_other_model_is_called(
    fake: FakeAzure, tmp_path: Path, body: Any
) -> None:
    answer = await ask(fake, tmp_path, whole(body, status=400))
    assert isinstance(answer.error, ContentBlocked)
    assert len(fake.seen) == 1


async def test_a_missing_deployment_is_misconfigured_and_the_fallback_answers(
    fake: FakeAzure, tmp_path: Path
) -> None:
    message = "The API deployment for this resource does not exist."
    answer = await ask(fake, tmp_path, error(404, code="DeploymentNotFound", message=message))
    assert answer.voices == ["mini", "other"]


async def test_a_rate_limit_with_a_number_as_its_code_is_one(
    fake: FakeAzure, tmp_path: Path
) -> None:
    message = "Requests to the ChatCompletions_Create Operation have exceeded call rate limit."
    limited = error(429, code="429", message=message, headers={"Retry-After": "30"})
    answer = await ask(fake, tmp_path, limited, limited)
    assert answer.error is not None
    assert not isinstance(answer.error, LLMMisconfigured | LLMRateLimited)
    assert answer.error.retry_after_seconds == pytest.approx(30, abs=1)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_stream_is_decoded_whatever_the_size_of_its_chunks(size: int) -> None:
    said: Raw = azure.answer("Hel", "lo", is_asynchronous=True)
    body = b"".join(step for step in said.steps if isinstance(step, bytes))
    decoder = Decoder("azure", OpenAIReader(), {}, max_bytes=1 << 20)
    received = [decoder.take(body[start : start + size]) for start in range(0, len(body), size)]
    assert "".join(text for text in received if isinstance(text, str)) == "Hello"
    (reply,) = decoder.end(lambda usage: usage)
    assert isinstance(reply, Reply)
    assert (reply.finish_reason, reply.usage.total_tokens) == (FinishReason.STOP, 12)
