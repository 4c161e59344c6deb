"""The official `openai` package against the real service."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam
from pydantic import BaseModel

from tests.service import Service

ASKING: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How are you?"}]


class Counted(OpenAI):
    """Counts what it sends; asks once unless told to try again."""

    def __init__(self, url: str, *, max_retries: int = 0, **options: Any) -> None:
        self.sent = 0
        http_client = openai.DefaultHttpxClient(
            trust_env=False, event_hooks={"request": [self._count]}
        )
        super().__init__(
            base_url=f"{url}/v1",
            api_key="unused",
            max_retries=max_retries,
            http_client=http_client,
            **options,
        )

    def _count(self, _request: httpx2.Request) -> None:
        self.sent += 1


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
    assert all(isinstance(model, Model) and is_exactly(model) for model in models)
    assert client.models.retrieve("alt-healthy").owned_by == "alt"
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("openai/none")
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("blocked", openai.BadRequestError, "content_filter"),
        ("context-too-long", openai.BadRequestError, "context_length_exceeded"),
        ("rejected", openai.UnprocessableEntityError, "provider_rejected"),
        ("nothing", openai.NotFoundError, "model_not_found"),
        ("empty", openai.InternalServerError, "providers_failed"),
    ],
)
def test_a_failure_before_the_first_word_is_an_exception_of_its_class(
    client: Counted,
    stream: bool,
    model: str,
    error: type[openai.APIStatusError],
    code: str,
) -> None:
    # A circuit opens where one model fails too often, so each way of asking has a model of its own.
    name = f"{'alt' if stream else 'gem'}-{model}"
    with pytest.raises(error) as raised:
        client.chat.completions.create(model=name, messages=ASKING, stream=stream)
    assert raised.value.code == code
    assert raised.value.request_id == raised.value.response.headers["X-Request-Id"]
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["message"] in str(raised.value)


def test_a_wrong_value_names_its_field(client: Counted) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.chat.completions.create(model="gem-healthy", messages=ASKING, temperature=3)
    assert (refused.value.param, refused.value.code) == ("temperature", "invalid_request")
    with pytest.raises(openai.BadRequestError) as unsupported:
        client.chat.completions.create(model="gem-healthy", messages=ASKING, n=2)
    assert (unsupported.value.param, unsupported.value.code) == ("n", "unsupported_parameter")


def test_a_client_that_is_not_let_in(service: Service) -> None:
    with (
        Counted(service.url, default_headers={"Host": "evil.example"}) as client,
        pytest.raises(openai.PermissionDeniedError) as refused,
    ):
        client.models.list()
    assert refused.value.type == "permission_error"


def test_a_stream_that_breaks_raises_after_its_text(client: Counted) -> None:
    heard = []
    with pytest.raises(openai.APIError) as broken:
        for chunk in client.chat.completions.create(
            model="gem-cut", messages=ASKING, stream=True, user="broken"
        ):
            heard.append(chunk.choices[0].delta.content)
    assert heard == ["", "All "]
    assert broken.value.code == "providers_failed"
    assert "No provider could answer." in str(broken.value)


def test_a_client_out_of_patience(service: Service) -> None:
    with (
        Counted(service.url, timeout=0.3) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        client.chat.completions.create(
            model="alt-silent", messages=ASKING, extra_headers={"X-Request-Timeout-Ms": "3000"}
        )


@pytest.mark.parametrize(
    ("model", "sent"), [("gem-empty", 2), ("gem-blocked", 1), ("gem-rejected", 1)]
)
def test_it_asks_again_only_where_that_may_help(service: Service, model: str, sent: int) -> None:
    with Counted(service.url, max_retries=1) as client:
        with pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model=model, messages=ASKING)
        assert client.sent == sent


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
