"""POST /v1/chat/completions and /v1/models, byte for byte as OpenAI's clients expect them."""

import json
import re
from collections.abc import Iterator

import httpx2
import pytest

from infra.selftest.provider import FaultProvider
from tests.http.openai_door import QUESTION, complete, events, is_error, newest
from tests.support.service import Service, running_service

USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}


@pytest.fixture(scope="module")
def service(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service whose circuits no other test has opened."""
    with running_service(tmp_path_factory.mktemp("service") / "data", settings) as service:
        yield service


def test_an_answer_has_exactly_the_shape_of_openais(client: httpx2.Client, user: str) -> None:
    response = complete(client, user, model="gem-healthy")
    assert response.status_code == 200
    kept = newest(client, user)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["X-Interaction-Id"] == kept["id"]
    assert re.fullmatch(
        r"llm;dur=[\d.]+, history;dur=[\d.]+, app;dur=[\d.]+", response.headers["Server-Timing"]
    )
    assert response.json() == {
        "id": f"chatcmpl-{kept['id']}",
        "object": "chat.completion",
        "created": int(kept["id"][:8] + kept["id"][9:13], 16) // 1000,
        "model": "gem-healthy",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "All is well.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
        "system_fingerprint": None,
        "service_tier": "default",
    }
    assert (kept["userPrompt"], kept["response"]) == ("How are you?", "All is well.")
    assert kept["conversationId"] is None


@pytest.mark.parametrize("with_usage", [False, True])
def test_a_stream_has_exactly_the_chunks_of_openais(
    client: httpx2.Client, user: str, with_usage: bool
) -> None:
    options = {"stream_options": {"include_usage": True}} if with_usage else {}
    response = complete(client, user, model="alt-healthy", stream=True, **options)
    assert response.status_code == 200
    kept = newest(client, user)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache, no-transform"
    assert response.headers["X-Interaction-Id"] == kept["id"]
    head = {
        "id": f"chatcmpl-{kept['id']}",
        "object": "chat.completion.chunk",
        "created": int(kept["id"][:8] + kept["id"][9:13], 16) // 1000,
        "model": "alt-healthy",
        "service_tier": "default",
        "system_fingerprint": None,
    }

    def chunk(delta: dict[str, object], finish_reason: str | None = None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**head, "choices": [choice], **({"usage": None} if with_usage else {})}

    *chunks, end = events(response)
    assert end == "[DONE]"
    told = [json.loads(one) for one in chunks]
    usage = [{**head, "choices": [], "usage": USAGE}] if with_usage else []
    texts = [one["choices"][0]["delta"]["content"] for one in told[1 : -1 - len(usage)]]
    assert "".join(texts) == "All is well."
    assert told == [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        *(chunk({"content": text}) for text in texts),
        chunk({}, "stop"),
        *usage,
    ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "finish"), [("healthy", "stop"), ("blocked-mid-stream", "content_filter")]
)
def test_why_it_ended_is_told(
    client: httpx2.Client, user: str, fault: str, finish: str, stream: bool
) -> None:
    response = complete(client, user, model=f"gem-{fault}", stream=stream)
    assert response.status_code == 200
    if stream:
        last = json.loads(events(response)[-2])
        assert last["choices"][0] == {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": finish,
        }
    else:
        assert response.json()["choices"][0]["finish_reason"] == finish


def test_a_stream_that_breaks_ends_with_an_error_and_without_done(
    client: httpx2.Client, user: str
) -> None:
    response = complete(client, user, model="gem-cut", stream=True)
    assert response.status_code == 200
    *chunks, last = events(response)
    assert json.loads(chunks[1])["choices"][0]["delta"] == {"content": "All "}
    assert json.loads(last) == {
        "error": {
            "message": "No provider could answer.",
            "type": "server_error",
            "param": None,
            "code": "providers_failed",
        }
    }
    assert (newest(client, user)["status"], newest(client, user)["response"]) == (
        "truncated",
        "All ",
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "code", "kind", "retry"),
    [
        ("blocked", 400, "content_filter", "invalid_request_error", "false"),
        ("context-too-long", 400, "context_length_exceeded", "invalid_request_error", "false"),
        ("rejected", 422, "provider_rejected", "invalid_request_error", "false"),
        ("bad-key", 503, "provider_misconfigured", "server_error", "true"),
        ("empty", 502, "providers_failed", "server_error", "true"),
    ],
)
def test_a_failure_before_the_first_word_keeps_its_status(
    client: httpx2.Client,
    user: str,
    fault: str,
    status: int,
    code: str,
    kind: str,
    retry: str,
    stream: bool,
) -> None:
    # A circuit opens where one model fails too often, so each way of asking has a model of its own.
    response = complete(client, user, model=f"{'alt' if stream else 'gem'}-{fault}", stream=stream)
    error = is_error(response, status, code)
    assert (error["type"], error["param"]) == (kind, None)
    assert response.headers["x-should-retry"] == retry
    assert ("Retry-After" in response.headers) is (retry == "true")
    assert response.headers["X-Interaction-Id"] == newest(client, user)["id"]


def test_sampling_goes_to_the_provider_under_its_own_names(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    chosen = {"temperature": 0.5, "top_p": 0.25, "max_tokens": 99, "stop": "END", "seed": 7}
    assert complete(client, user, model="gem-healthy", **chosen).is_success
    config = provider.calls[-1].body["generationConfig"]
    assert config == {
        "temperature": 0.5,
        "topP": 0.25,
        "maxOutputTokens": 99,
        "stopSequences": ["END"],
        "seed": 7,
    }
    chosen |= {"stop": ["A", "B"], "max_completion_tokens": 77}
    assert complete(client, user, model="alt-healthy", **chosen).is_success
    body = provider.calls[-1].body
    assert (body["temperature"], body["top_p"], body["stop"], body["seed"]) == (
        0.5,
        0.25,
        ["A", "B"],
        7,
    )
    assert 77 in body.values()


def test_the_list_sent_is_the_context_and_the_last_question_is_kept(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "1"},
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]},
        {"role": "assistant", "content": None},
        {"role": "system", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "tw"}, {"type": "text", "text": "o"}]},
    ]  # fmt: skip
    assert complete(client, user, model="alt-healthy", messages=messages).is_success
    assert provider.calls[-1].body["messages"] == [
        {"role": "system", "content": "Be short.\n\nBe kind."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "two"},
    ]
    kept = newest(client, user)
    assert (kept["userPrompt"], kept["systemPrompt"]) == ("two", "Be short.\n\nBe kind.")


def test_a_list_may_end_with_words_for_the_assistant_to_go_on_from(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    messages = [QUESTION, {"role": "assistant", "content": "I am"}]
    assert complete(client, user, model="alt-healthy", messages=messages).is_success
    assert provider.calls[-1].body["messages"] == messages
    assert newest(client, user)["userPrompt"] == "How are you?"


def test_the_user_is_the_one_named_else_anonymous(client: httpx2.Client, user: str) -> None:
    for named, whose in (
        ({"user": user, "safety_identifier": "other"}, user),
        ({"user": "", "safety_identifier": f"{user}-safe"}, f"{user}-safe"),
        ({}, "anonymous"),
    ):
        response = client.post("/v1/chat/completions", json={"messages": [QUESTION], **named})
        interaction_id = response.headers["X-Interaction-Id"]
        assert client.get(f"/v1/history/{whose}/{interaction_id}").is_success


def test_models_are_listed_in_openais_format(client: httpx2.Client) -> None:
    models = client.get("/v1/models").json()
    assert set(models) == {"object", "data", "models"}
    assert models["object"] == "list"
    assert models["models"] == models["data"]
    first = {
        "id": "gem-healthy",
        "object": "model",
        "created": 1,
        "owned_by": "gem",
        "context_window": 100_000,
        "max_output_tokens": 1000,
        "capabilities": ["audio", "files", "images", "json_schema", "reasoning", "tools"],
        "shutdown_date": None,
    }
    assert models["data"][0] == first
    assert client.get("/v1/models/gem-healthy").json() == first
    assert client.get("/v1/models?limit=1&order=asc").json() == models
