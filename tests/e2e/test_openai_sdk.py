"""What the official `openai` package gets from the real service."""

import asyncio
from collections.abc import Iterator

import openai
import pytest
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from tests.e2e.openai_client import ASKING, Counted
from tests.support.service import Service


@pytest.fixture
def client(service: Service) -> Iterator[Counted]:
    with Counted(service.url) as client:
        yield client


def unknown_fields(answer: object) -> list[str]:
    """Return the names of fields that the SDK does not know, at any depth."""
    if isinstance(answer, BaseModel):
        found = list(answer.model_extra or {})
        return found + [name for _, value in answer for name in unknown_fields(value)]
    if isinstance(answer, list):
        return [name for one in answer for name in unknown_fields(one)]
    return []


def is_exactly(answer: BaseModel) -> bool:
    """Whether `answer` is valid by the SDK's own types, which it does not check by itself, and holds nothing else."""
    type(answer).model_validate(answer.model_dump(), strict=True)
    return unknown_fields(answer) == []


def test_a_plain_answer(client: Counted) -> None:
    answer = client.chat.completions.create(model="gem-healthy", messages=ASKING)
    assert isinstance(answer, ChatCompletion)
    assert is_exactly(answer)
    assert answer.choices[0].message.content == "All is well."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 5)


def test_the_request_and_the_interaction_are_named(client: Counted, service: Service) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="gem-healthy", messages=ASKING, user="ana"
    )
    answer = raw.parse()
    assert raw.request_id == raw.headers["X-Request-Id"]
    assert answer.id == f"chatcmpl-{raw.headers['X-Interaction-Id']}"
    with service.client() as http:
        kept = http.get(f"/v1/history/ana/{raw.headers['X-Interaction-Id']}").json()
    assert (kept["userPrompt"], kept["response"]) == ("How are you?", "All is well.")


@pytest.mark.parametrize("model", ["gem-healthy", "alt-healthy"])
def test_a_stream(client: Counted, model: str) -> None:
    stream = client.chat.completions.create(model=model, messages=ASKING, stream=True)
    chunks = list(stream)
    assert all(isinstance(chunk, ChatCompletionChunk) and is_exactly(chunk) for chunk in chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[-2:]] == [None, "stop"]
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(texts) == "All is well."
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert not any("usage" in chunk.model_fields_set for chunk in chunks)


def test_a_stream_that_tells_the_tokens(client: Counted) -> None:
    *chunks, last = client.chat.completions.create(
        model="gem-healthy",
        messages=ASKING,
        stream=True,
        stream_options={"include_usage": True},
    )
    assert all("usage" in chunk.model_fields_set and chunk.usage is None for chunk in chunks)
    assert is_exactly(last)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 12


def test_the_sdks_own_reader_of_streams(client: Counted) -> None:
    with client.chat.completions.stream(model="gem-healthy", messages=ASKING) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert answer.choices[0].message.content == "All is well."


def test_who_stops_reading_a_stream_can_ask_again(client: Counted) -> None:
    with client.chat.completions.create(
        model="gem-stall", messages=ASKING, stream=True, user="leaver"
    ) as stream:
        assert next(stream).choices[0].delta.role == "assistant"
    answer = client.chat.completions.create(model="gem-healthy", messages=ASKING)
    assert answer.choices[0].message.content == "All is well."


def test_models(client: Counted) -> None:
    models = list(client.models.list())
    assert models[0].id == "gem-healthy"
    assert all(isinstance(model, Model) for model in models)
    added = ["context_window", "max_output_tokens", "capabilities"]
    assert all(unknown_fields(model) == added for model in models)
    assert client.models.retrieve("alt-healthy").owned_by == "alt"
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("openai/none")
    assert refused.value.code == "model_not_found"


async def test_many_at_once_through_the_asynchronous_client(service: Service) -> None:
    http_client = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with openai.AsyncOpenAI(
        base_url=f"{service.url}/v1", api_key="unused", max_retries=0, http_client=http_client
    ) as client:
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(model="gem-healthy", messages=ASKING)
                for _ in range(20)
            )
        )
    assert len({answer.id for answer in answers}) == 20
