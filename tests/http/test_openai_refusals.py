"""What POST /v1/chat/completions and /v1/models refuse, in OpenAI's format."""

import httpx2
import pytest

from infra.selftest.provider import FaultProvider
from tests.http.openai_door import QUESTION, complete, is_error
from tests.support.problems import CANARY, MALFORMED


def test_an_unknown_model_is_a_404_that_names_those_there_are(
    client: httpx2.Client, user: str
) -> None:
    error = is_error(complete(client, user, model="gpt-nothing"), 404, "model_not_found")
    assert error["param"] == "model"
    assert "gem-healthy" in error["message"]
    assert "gpt-nothing" not in error["message"]


UNSUPPORTED: list[tuple[dict[str, object], str]] = [
    ({"n": 2}, "n"),
    ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
    ({"tool_choice": {"type": "custom", "custom": {"name": "f"}}}, "tool_choice"),
    ({"response_format": {"type": "grammar"}}, "response_format"),
    ({"logprobs": True}, "logprobs"),
    ({"audio": {"voice": "alloy"}}, "audio"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    (
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"id": "x", "type": "custom"}]},
                QUESTION,
            ]
        },
        "messages[0].tool_calls[0].type",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {}}]}]},
        "messages[0].content",
    ),
    ({"messages": [{"role": "user", "content": [{"type": {}}]}]}, "messages[0].content"),
    (
        {"messages": [{"role": "assistant", "content": [{"type": "audio"}]}, QUESTION]},
        "messages[0].content",
    ),
]


@pytest.mark.parametrize(("body", "param"), UNSUPPORTED, ids=[param for _, param in UNSUPPORTED])
def test_what_would_change_the_answers_shape_is_refused(
    client: httpx2.Client, user: str, provider: FaultProvider, body: dict[str, object], param: str
) -> None:
    calls = len(provider.calls)
    error = is_error(complete(client, user, **body), 400, "unsupported_parameter")
    assert error["param"] == param
    assert len(provider.calls) == calls


def test_what_changes_nothing_is_taken_or_ignored(client: httpx2.Client, user: str) -> None:
    response = complete(
        client,
        user,
        n=1,
        tools=[],
        functions=None,
        tool_choice="none",
        response_format={"type": "text"},
        logprobs=False,
        top_logprobs=None,
        modalities=["text"],
        audio=None,
        frequency_penalty=0.5,
        logit_bias={"1": 2},
        reasoning_effort="low",
        service_tier="auto",
        store=True,
        metadata={"purpose": "test"},
        stream=None,
        stream_options=None,
        a_field_of_next_year={"deep": [1]},
        messages=[{**QUESTION, "name": "ana", "a_field_of_next_year": 1}],
    )
    assert response.status_code == 200
    assert client.post(
        "/v1/chat/completions?api-version=1&api-version=2",
        json={"messages": [QUESTION], "user": user},
    ).is_success


INVALID: list[tuple[dict[str, object], str]] = [
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": "1"}, "temperature"),
    ({"top_p": -0.1}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
    ({"max_tokens": 1001}, "max_tokens"),
    ({"max_completion_tokens": 1001}, "max_completion_tokens"),
    ({"max_completion_tokens": 1001, "max_tokens": 5}, "max_completion_tokens"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"stop": [""]}, "stop[0]"),
    ({"seed": 2**64}, "seed"),
    ({"stream": "yes"}, "stream"),
    ({"user": 5}, "user"),
    ({"user": None, "safety_identifier": 5}, "safety_identifier"),
    ({"metadata": {"conversation_id": "has a blank"}}, "metadata.conversation_id"),
    ({"metadata": "x"}, "metadata"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": [QUESTION, {"role": "user", "content": ""}]}, "messages[1].content"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": "a\0b"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": "x" * 1_048_577}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": "€" * 349_526}]}, "messages[0].content"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
    ({"messages": ["x"]}, "messages[0]"),
]


@pytest.mark.parametrize(("body", "param"), INVALID, ids=[param for _, param in INVALID])
def test_a_wrong_value_is_named_and_not_echoed(
    client: httpx2.Client, user: str, body: dict[str, object], param: str
) -> None:
    response = complete(client, user, **body)
    error = is_error(response, 422, "invalid_request")
    assert error["param"] == param
    assert param in error["message"]
    assert "has a blank" not in response.text
    assert "wizard" not in response.text


def test_every_other_refusal_speaks_openais_format_too(client: httpx2.Client, user: str) -> None:
    path, json_type = "/v1/chat/completions", {"content-type": "application/json"}
    for body in (
        b"",
        b"{",
        b'{"messages": 1, "messages": 2}',
        b'{"n": NaN}',
        b"[" * 80 + b"]" * 80,
    ):
        response = client.post(path, content=body, headers=json_type)
        is_error(response, 400, "malformed_body")
    is_error(client.post(path, content=b"{}"), 415, "unsupported_media_type")
    big = client.post(path, content=b" " * (32 * 1024 * 1024 + 1), headers=json_type)
    is_error(big, 413, "body_too_large")
    response = client.get(path)
    is_error(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"
    is_error(client.get(f"{path}/chatcmpl-1"), 404, "not_found")
    is_error(client.delete("/v1/models/gem-healthy"), 405, "method_not_allowed")
    error = is_error(client.get("/v1/models", headers={"Host": "evil.example"}), 403, "forbidden")
    assert error["type"] == "permission_error"
    response = client.post(
        path, json={"messages": [QUESTION]}, headers={"X-Request-Timeout-Ms": "5"}
    )
    assert is_error(response, 422, "invalid_request")["param"] == "X-Request-Timeout-Ms"


@pytest.mark.parametrize("case", MALFORMED)
def test_a_body_that_is_not_plain_json_is_malformed_at_this_door_too(
    client: httpx2.Client, user: str, case: str
) -> None:
    sent = MALFORMED[case](user)
    headers = {"content-type": "application/json"}
    response = client.post("/v1/chat/completions", content=sent, headers=headers)
    is_error(response, 400, "malformed_body")
    assert CANARY not in response.text


def test_the_native_routes_keep_their_own_format(client: httpx2.Client) -> None:
    for path in ("/v1/chat", "/v1/modelsx", "/v1/chat/completionsx", "/v1/history/ana/x"):
        response = client.get(path)
        assert response.headers["content-type"] == "application/problem+json"
        assert "x-should-retry" not in response.headers


@pytest.mark.parametrize("model_id", ["nothing", "a/b", ""])
def test_an_unknown_models_id_is_a_404(client: httpx2.Client, model_id: str) -> None:
    error = is_error(client.get(f"/v1/models/{model_id}"), 404, "model_not_found")
    assert error["param"] == "model"
