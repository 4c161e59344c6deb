"""Idempotency-Key over both doors, plain and streamed: once, again, freed, and over crashes."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infra.selftest.provider import FaultProvider
from tests.support.keyed_requests import (
    DOORS,
    NATIVE,
    OPENAI,
    body_of,
    held_up,
    killed_in_flight,
    send,
    until,
)
from tests.support.problems import is_problem, kept
from tests.support.service import Service, running_service


@pytest.mark.parametrize("door", DOORS)
def test_sent_again_it_has_the_same_answer_and_nobody_is_asked(
    client: httpx2.Client, user: str, provider: FaultProvider, door: str
) -> None:
    first = send(client, door, user)
    assert first.status_code == 200
    assert "Idempotency-Replayed" not in first.headers
    calls = len(provider.calls)
    for _ in range(3):
        again = send(client, door, user)
        assert again.status_code == 200
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.headers["X-Interaction-Id"] == first.headers["X-Interaction-Id"]
        assert again.headers["X-Request-Id"] != first.headers["X-Request-Id"]
        assert again.json() == first.json()
    assert len(provider.calls) == calls
    assert len(kept(client, user)) == 1


def test_a_stream_is_told_again_as_one_delta_and_its_end(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    def events(response: httpx2.Response) -> list[tuple[str, Any]]:
        found = re.findall(r"event: (\w+)\ndata: (.*)\n\n", response.text)
        return [(name, json.loads(data)) for name, data in found]

    first = send(client, NATIVE, user, stream=True)
    calls = len(provider.calls)
    again = send(client, NATIVE, user, stream=True)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["X-Interaction-Id"] == first.headers["X-Interaction-Id"]
    assert [name for name, _ in events(again)] == ["meta", "delta", "done"]
    assert events(again)[1][1] == {"text": "All is well."}
    assert events(again)[0] == events(first)[0]
    assert events(again)[-1] == events(first)[-1]
    assert len(provider.calls) == calls
    assert len(kept(client, user)) == 1


def test_a_stream_in_openais_format_is_told_again(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    def chunks(response: httpx2.Response) -> list[Any]:
        *data, done = re.findall(r"data: (.*)\n\n", response.text)
        assert done == "[DONE]"
        return [json.loads(one) for one in data]

    options = {"stream": True, "stream_options": {"include_usage": True}}
    first = send(client, OPENAI, user, **options)
    calls = len(provider.calls)
    again = send(client, OPENAI, user, **options)
    assert again.headers["Idempotency-Replayed"] == "true"
    told = [chunk["choices"][0]["delta"].get("content") for chunk in chunks(again)[:-1]]
    assert "".join(text for text in told if text) == "All is well."
    assert chunks(again)[-1] == chunks(first)[-1]
    assert {chunk["id"] for chunk in chunks(again)} == {chunks(first)[0]["id"]}
    assert len(provider.calls) == calls


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("door", DOORS)
def test_of_fifty_at_once_one_is_carried_out(
    client: httpx2.Client,
    service: Service,
    user: str,
    provider: FaultProvider,
    door: str,
    streamed: bool,
) -> None:
    calls = provider.count("healthy")
    with held_up(provider, "healthy") as go_on, ThreadPoolExecutor(50) as pool:
        clients = [service.client() for _ in range(50)]
        answers = [pool.submit(send, one, door, user, stream=streamed) for one in clients]
        until(lambda: sum(answer.done() for answer in answers) == 49)
        go_on.set()
        found = [answer.result(120) for answer in answers]
        for one in clients:
            one.close()
    assert sorted(response.status_code for response in found) == [200] + [409] * 49
    for response in found:
        if response.status_code == 409:
            assert response.headers["Retry-After"] == "1"
            assert "idempotency" in response.text
            if door == OPENAI:
                assert response.headers["x-should-retry"] == "true"
    assert provider.count("healthy") == calls + 1
    assert len(kept(client, user)) == 1


@pytest.mark.parametrize("door", DOORS)
def test_another_body_with_the_same_key_is_refused(
    client: httpx2.Client, user: str, provider: FaultProvider, door: str
) -> None:
    assert send(client, door, user).status_code == 200
    calls = len(provider.calls)
    for changes in ({"temperature": 0.5}, {"stream": True}, {"model": "alt-healthy"}):
        response = send(client, door, user, **changes)
        assert response.status_code == 422
        assert "used with another request" in response.text
    assert len(provider.calls) == calls
    assert len(kept(client, user)) == 1


def test_what_goes_without_saying_makes_no_other_body(client: httpx2.Client, user: str) -> None:
    first = send(client, NATIVE, user)
    spelled_out = {"systemPrompt": "", "stream": False, "fallback": True, "temperature": None}
    again = send(client, NATIVE, user, **spelled_out)
    assert again.json() == first.json()


def test_the_same_key_elsewhere_means_something_else(client: httpx2.Client, user: str) -> None:
    ids = {
        send(client, NATIVE, user).json()["id"],
        send(client, NATIVE, f"{user}-other").json()["id"],
        send(client, OPENAI, user).json()["id"].removeprefix("chatcmpl-"),
        send(client, NATIVE, user, key="K").json()["id"],
    }
    assert len(ids) == 4


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", ["gem-503", "gem-rejected", "gem-context-too-long"])
def test_after_a_failure_the_key_is_free(
    client: httpx2.Client,
    user: str,
    provider: FaultProvider,
    door: str,
    streamed: bool,
    model: str,
) -> None:
    key = f"{model}-{streamed}"
    first = send(client, door, user, key, model=model, stream=streamed)
    assert first.status_code in (400, 422, 502, 503)
    again = send(client, door, user, key, model="alt-healthy", stream=streamed)
    assert again.status_code == 200
    assert "Idempotency-Replayed" not in again.headers
    assert len(kept(client, user)) == 2


def test_after_a_timeout_the_key_is_free(client: httpx2.Client, user: str) -> None:
    body, headers = body_of(NATIVE, user, model="gem-silent"), {"Idempotency-Key": "k"}
    late = client.post(NATIVE, json=body, headers={**headers, "X-Request-Timeout-Ms": "3000"})
    is_problem(late, 504, "provider-timeout")
    again = send(client, NATIVE, user)
    assert again.status_code == 200
    assert "Idempotency-Replayed" not in again.headers


@pytest.mark.parametrize("door", DOORS)
def test_a_refusal_of_a_safety_filter_is_told_again(
    client: httpx2.Client, user: str, provider: FaultProvider, door: str
) -> None:
    first = send(client, door, user, model="gem-blocked")
    calls = len(provider.calls)
    again = send(client, door, user, model="gem-blocked")
    assert again.status_code == first.status_code in (400, 422)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["X-Interaction-Id"] == first.headers["X-Interaction-Id"]
    if door == NATIVE:
        told = [response.json() for response in (first, again)]
        for problem in told:
            del problem["requestId"], problem["instance"]
        assert told[0] == told[1]
    else:
        assert again.json() == first.json()
    assert len(provider.calls) == calls


def test_a_cut_stream_frees_the_key(client: httpx2.Client, user: str) -> None:
    first = send(client, NATIVE, user, model="alt-cut", stream=True)
    assert "event: error" in first.text
    assert "event: done" in send(client, NATIVE, user, stream=True).text


def test_a_stream_whose_client_leaves_frees_the_key(
    client: httpx2.Client, service: Service, user: str, provider: FaultProvider
) -> None:
    body = body_of(NATIVE, user, stream=True, model="gem-stall")
    headers = {"Idempotency-Key": "k"}
    with (
        service.client() as leaving,
        leaving.stream("POST", NATIVE, json=body, headers=headers) as response,
    ):
        next(response.iter_bytes())
    until(lambda: len(kept(client, user)) == 1)
    until(lambda: send(client, NATIVE, user).status_code == 200)
    assert sorted(str(one["status"]) for one in kept(client, user)) == [
        "client_cancelled",
        "completed",
    ]


def test_a_plain_call_whose_client_left_is_found_again(
    client: httpx2.Client, service: Service, user: str, provider: FaultProvider
) -> None:
    calls = provider.count("healthy")
    with held_up(provider, "healthy") as go_on:
        with service.client() as leaving, pytest.raises(httpx2.ReadTimeout):
            leaving.post(
                NATIVE,
                json=body_of(NATIVE, user),
                headers={"Idempotency-Key": "k"},
                timeout=0.5,
            )
        assert send(client, NATIVE, user).status_code == 409
        go_on.set()
        until(lambda: send(client, NATIVE, user).status_code == 200)
    assert send(client, NATIVE, user).headers["Idempotency-Replayed"] == "true"
    assert provider.count("healthy") == calls + 1
    assert [one["status"] for one in kept(client, user)] == ["completed"]


@pytest.mark.parametrize("key", ["", "k" * 256, "with space", "é", "tab\tkey", "\x7f"])
@pytest.mark.parametrize("door", DOORS)
def test_a_key_that_is_none_is_refused(
    client: httpx2.Client, user: str, door: str, key: str
) -> None:
    response = client.post(
        door, json=body_of(door, user), headers={"Idempotency-Key": key.encode("latin-1")}
    )
    assert response.status_code in (400, 422), response.text
    if door == NATIVE and response.status_code == 422:
        problem = is_problem(response, 422, "invalid-request")
        assert problem["errors"][0]["pointer"] == "header/Idempotency-Key"  # type: ignore[index]
    assert kept(client, user) == []


def test_two_keys_are_refused(client: httpx2.Client, user: str) -> None:
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "other")]
    response = client.post(NATIVE, json=body_of(NATIVE, user), headers=headers)
    problem = is_problem(response, 422, "invalid-request")
    assert problem["errors"][0]["pointer"] == "header/Idempotency-Key"  # type: ignore[index]


@pytest.mark.parametrize("key", ["k" * 255, "!~", '"quoted"', "a/b?c=d&e"])
def test_any_visible_text_is_a_key(client: httpx2.Client, user: str, key: str) -> None:
    first = send(client, NATIVE, user, key)
    assert send(client, NATIVE, user, key).json() == first.json()


def test_what_was_erased_is_not_told_again(client: httpx2.Client, user: str) -> None:
    first = send(client, NATIVE, user).json()["id"]
    assert client.delete(f"/v1/history/{user}/{first}").status_code == 204
    second = send(client, NATIVE, user)
    assert "Idempotency-Replayed" not in second.headers
    assert second.json()["id"] != first
    assert client.delete(f"/v1/history/{user}").json() == {"deleted": 1}
    third = send(client, NATIVE, user)
    assert "Idempotency-Replayed" not in third.headers
    assert [one["id"] for one in kept(client, user)] == [third.json()["id"]]


def test_without_a_key_each_request_is_its_own(client: httpx2.Client, user: str) -> None:
    for _ in range(2):
        assert client.post(NATIVE, json=body_of(NATIVE, user)).status_code == 200
    assert len(kept(client, user)) == 2


def test_keys_that_cannot_be_kept_are_said_so_and_hurt_nobody_else(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider
) -> None:
    data_dir.mkdir(mode=0o700)
    (data_dir / "idempotency.db").write_bytes(b"x" * 4096)
    with running_service(data_dir, settings) as service, service.client() as client:
        calls = len(provider.calls)
        response = send(client, NATIVE, "ana")
        is_problem(response, 503, "idempotency-unavailable")
        assert response.headers["Retry-After"] == "5"
        assert len(provider.calls) == calls
        assert client.post(NATIVE, json=body_of(NATIVE, "ana")).status_code == 200
        (data_dir / "idempotency.db").unlink()
        assert send(client, NATIVE, "ana").status_code == 200


def test_a_key_outlives_the_process(settings: dict[str, str], data_dir: Path) -> None:
    answers = []
    for _ in range(2):
        with running_service(data_dir, settings) as service, service.client() as client:
            answers.append(send(client, NATIVE, "ana"))
            service.kill()
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotency-Replayed"] == "true"


@pytest.mark.slow
def test_a_process_killed_in_flight_leaves_at_most_one_record(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider
) -> None:
    killed_in_flight(settings, data_dir, provider, kills=3)
