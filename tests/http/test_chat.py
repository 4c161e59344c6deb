"""Ask, be answered, read it back."""

import json
import re
import uuid

import httpx2
import pytest

from domain.entities.interaction import milliseconds_of
from infra.selftest.provider import FaultProvider
from tests.support.service import Service

FIELDS = {
    "id", "userId", "conversationId", "timestamp", "userPrompt", "systemPrompt", "temperature",
    "response", "model", "requestedModel", "provider", "status", "finishReason", "fallbackUsed",
    "llmResponseSeconds", "timeToFirstTokenSeconds", "usage", "attempts", "error",
}  # fmt: skip


def chat(client: httpx2.Client, user: str, **body: object) -> httpx2.Response:
    return client.post("/v1/chat", json={"userId": user, "userPrompt": "How are you?", **body})


@pytest.mark.parametrize(("model", "named"), [("gem-healthy", "gem"), ("alt-healthy", "alt")])
def test_an_answer_has_every_field_and_is_in_history(
    client: httpx2.Client, user: str, model: str, named: str
) -> None:
    response = chat(client, user, model=model, systemPrompt="Be short.", temperature=0.5)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert set(answer) == FIELDS | {"history"}
    assert answer.pop("history") == {"status": "accepted"}
    assert uuid.UUID(answer["id"]).version == 7
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer["timestamp"])
    assert answer["response"] == "All is well."
    assert answer["usage"] == {
        "inputTokens": 7,
        "outputTokens": 5,
        "reasoningTokens": answer["usage"]["reasoningTokens"],
        "totalTokens": 12,
        "costUsd": pytest.approx(17e-6),
    }
    assert (answer["model"], answer["requestedModel"], answer["provider"]) == (
        model,
        model,
        named,
    )
    assert (answer["status"], answer["finishReason"], answer["error"]) == (
        "completed",
        "stop",
        None,
    )
    assert (answer["systemPrompt"], answer["temperature"]) == ("Be short.", 0.5)
    (attempt,) = answer["attempts"]
    assert (attempt["provider"], attempt["outcome"], attempt["httpStatus"]) == (named, "ok", 200)

    assert client.get(f"/v1/history/{user}/{answer['id']}").json() == answer
    page = client.get(f"/v1/history/{user}").json()
    assert page == {"history": [answer], "nextCursor": None, "complete": True}


def test_the_headers_name_the_request_and_the_interaction(client: httpx2.Client, user: str) -> None:
    response = client.post(
        "/v1/chat",
        json={"userId": user, "userPrompt": "hi"},
        headers={"X-Request-Id": "my-own-request-1"},
    )
    assert response.headers["X-Request-Id"] == "my-own-request-1"
    assert response.headers["X-Interaction-Id"] == response.json()["id"]
    assert re.fullmatch(
        r"llm;dur=[\d.]+, history;dur=[\d.]+, app;dur=[\d.]+", response.headers["Server-Timing"]
    )


@pytest.mark.parametrize("unfit", ["short", "x" * 65, "semi;colon", "spa ce in it"])
def test_an_unfit_request_id_is_replaced(client: httpx2.Client, unfit: str) -> None:
    response = client.get("/health/live", headers={"X-Request-Id": unfit})
    assert uuid.UUID(response.headers["X-Request-Id"]).version == 4


def test_nothing_is_sent_to_the_provider_that_was_not_set(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    assert chat(client, user).status_code == 200
    body = provider.calls[-1].body
    assert "systemInstruction" not in body
    assert not {"temperature", "maxOutputTokens"} & set(body.get("generationConfig", {}))
    assert chat(client, user, temperature=0, maxOutputTokens=9).status_code == 200
    config = provider.calls[-1].body["generationConfig"]
    assert (config["temperature"], config["maxOutputTokens"]) == (0, 9)


def test_the_key_travels_in_a_header_only(
    client: httpx2.Client, user: str, provider: FaultProvider, service: Service
) -> None:
    assert chat(client, user).status_code == 200
    assert provider.calls[-1].headers["x-goog-api-key"] == "a-key-that-must-not-leak"
    assert "a-key-that-must-not-leak" not in "\n".join(service.log)


def test_a_failing_model_is_replaced_by_its_fallback(client: httpx2.Client, user: str) -> None:
    answer = chat(client, user, model="safe-rejected", fallback=True)
    assert answer.status_code == 422  # the caller's fault is nobody else's business
    answer = chat(client, user, model="safe-bad-key").json()
    assert (answer["requestedModel"], answer["model"], answer["fallbackUsed"]) == (
        "safe-bad-key",
        "alt-healthy",
        True,
    )
    assert [a["outcome"] for a in answer["attempts"]] == ["misconfigured", "ok"]


def test_without_fallback_only_the_named_model_may_answer(client: httpx2.Client, user: str) -> None:
    response = chat(client, user, model="safe-empty", fallback=False)
    assert response.status_code == 502
    assert {a["model"] for a in response.json()["attempts"]} == {"safe-empty"}


def test_a_block_after_some_text_is_a_200(client: httpx2.Client, user: str) -> None:
    answer = chat(client, user, model="gem-blocked-mid-stream")
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["finishReason"]) == ("blocked", "content_filter")
    assert answer.json()["response"] == "All "


def test_a_stream_tells_who_then_what_then_the_interaction(
    client: httpx2.Client, user: str
) -> None:
    response = chat(client, user, stream=True, conversationId="c-1")
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [
        (name, json.loads(data))
        for name, data in re.findall(r"event: (\w+)\ndata: (.*)\n\n", response.text)
    ]
    assert [name for name, _ in events][:2] == ["meta", "delta"]
    assert events[0][1] == {
        "id": response.headers["X-Interaction-Id"],
        "model": "gem-healthy",
        "provider": "gem",
        "conversationId": "c-1",
    }
    assert "".join(data["text"] for name, data in events if name == "delta") == "All is well."
    name, done = events[-1]
    assert name == "done"
    kept = client.get(f"/v1/history/{user}/{done['id']}").json()
    assert {**kept, "history": {"status": "accepted"}} == {**done, "response": "All is well."}


def test_a_failure_before_the_first_word_of_a_stream_keeps_its_status(
    client: httpx2.Client, user: str
) -> None:
    response = chat(client, user, model="gem-blocked", stream=True)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_a_stream_that_is_cut_ends_with_an_error_and_is_kept_as_truncated(
    client: httpx2.Client, user: str
) -> None:
    response = chat(client, user, model="alt-cut", stream=True)
    assert "event: done" not in response.text
    problem = json.loads(response.text.rpartition("event: error\ndata: ")[2])
    assert problem["type"] == "/problems/providers-failed"
    kept = client.get(f"/v1/history/{user}/{response.headers['X-Interaction-Id']}").json()
    assert (kept["status"], kept["response"]) == ("truncated", "All ")


def test_the_id_carries_the_time(client: httpx2.Client, user: str) -> None:
    answer = chat(client, user).json()
    milliseconds = milliseconds_of(answer["id"])
    assert answer["timestamp"].endswith(f"{milliseconds % 1000:03d}Z")


def test_one_line_is_logged_for_a_chat_and_no_word_of_it(
    client: httpx2.Client, user: str, service: Service
) -> None:
    response = chat(client, user, userPrompt="a-secret-question", systemPrompt="a-secret-order")
    request_id = response.headers["X-Request-Id"]
    lines = service.lines_with(request_id)
    assert len(lines) == 1
    line = json.loads(lines[0])
    assert line["event"]["action"] == "llm.chat"
    assert line["rt"]["llm_response_seconds"] == response.json()["llmResponseSeconds"]
    assert line["gen_ai"]["usage"] == {"input_tokens": 7, "output_tokens": 5}
    everything = "\n".join(service.log)
    assert "a-secret" not in everything
    assert user not in everything
