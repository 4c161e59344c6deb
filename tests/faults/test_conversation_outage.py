"""A conversation goes on while its store is away, and sees what was said before."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infra.selftest.provider import FaultProvider
from tests.fakes.provider import models_file, provider_in_thread
from tests.support.mongod import Mongod, need_mongod
from tests.support.service import Service, running_service

Door = Callable[[str, str], tuple[str, dict[str, Any]]]
ANSWER = "All is well."
TURNS = 20
TURNS_BEFORE_THE_OUTAGE = 7


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Mongod]:
    need_mongod()
    server = Mongod(tmp_path / "mongod")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def provider() -> Iterator[FaultProvider]:
    with provider_in_thread() as provider:
        yield provider


@pytest.fixture
def settings(server: Mongod, provider: FaultProvider, tmp_path: Path) -> dict[str, str]:
    return {
        "MODELS_FILE": str(models_file(tmp_path / "models.toml", provider, ["healthy"])),
        "GEM_KEY": "a-key",
        "MONGO_URI": server.uri,
    }


@pytest.fixture
def service(settings: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path / "data", settings | {"HISTORY_HOSTS": "one"}) as service:
        yield service
        service.kill()  # stopped in order, it would wait for a store that is away


def native(question: str, conversation_id: str) -> tuple[str, dict[str, Any]]:
    return "/v1/chat", {
        "userId": "ana",
        "userPrompt": question,
        "conversationId": conversation_id,
        "model": "alt-healthy",
    }


def openai(question: str, conversation_id: str) -> tuple[str, dict[str, Any]]:
    return "/v1/chat/completions", {
        "user": "ana",
        "messages": [{"role": "user", "content": question}],
        "metadata": {"conversation_id": conversation_id},
        "model": "alt-healthy",
    }


@pytest.mark.parametrize(
    ("how", "doors"),
    [
        (Mongod.stop, (native, openai)),
        pytest.param(Mongod.stop, (native,), marks=pytest.mark.faults),
        pytest.param(Mongod.stop, (openai,), marks=pytest.mark.faults),
        pytest.param(Mongod.pause, (openai, native), marks=pytest.mark.faults),
    ],
)
def test_it_sees_its_past_at_once_with_the_store_and_without(
    service: Service,
    server: Mongod,
    provider: FaultProvider,
    how: Callable[[Mongod], None],
    doors: tuple[Door, ...],
) -> None:
    expected: list[str] = []
    with service.client() as client:
        for turn in range(TURNS):
            if turn == TURNS_BEFORE_THE_OUTAGE:
                how(server)
            path, body = doors[turn % len(doors)](f"question {turn}", "c")
            response = client.post(path, json=body)
            assert response.status_code == 200, response.text
            expected.append(f"question {turn}")
            sent = provider.calls[-1].body["messages"]
            assert [message["content"] for message in sent] == expected
            expected.append(ANSWER)


@pytest.mark.parametrize("door", ["/v1/responses", "/v1/chat"])
def test_a_chain_of_answers_goes_on_and_is_whole_afterwards(
    service: Service, server: Mongod, provider: FaultProvider, door: str
) -> None:
    expected: list[str] = []
    previous: str | None = None
    with service.client() as client:
        for turn in range(TURNS):
            if turn == TURNS_BEFORE_THE_OUTAGE:
                server.stop()
            question = f"question {turn}"
            response = client.post(
                door,
                json={"model": "alt-healthy"}
                | (
                    {"input": question, "user": "ana", "previous_response_id": previous}
                    if door == "/v1/responses"
                    else {"userPrompt": question, "userId": "ana", "previousId": previous}
                ),
            )
            assert response.status_code == 200, response.text
            previous = response.json()["id"]
            expected.append(question)
            sent = provider.calls[-1].body["messages"]
            assert [message["content"] for message in sent] == expected
            expected.append(ANSWER)
            if door == "/v1/responses":
                assert client.get(f"/v1/responses/{previous}").status_code == 200
        server.start()
        _until_read(client, turns=TURNS)


def test_one_that_this_host_knows_nothing_of_waits_for_the_store(
    service: Service, server: Mongod, provider: FaultProvider
) -> None:
    """It may have a past elsewhere; without it the answer would be that of another conversation."""
    with service.client() as client:
        server.stop()
        path, body = native("hello", "elsewhere")
        response = client.post(path, json=body)
        assert response.status_code == 503
        assert response.json()["type"] == "/problems/history-store-unavailable"
        assert provider.calls == []
        assert client.post(path, json={**body, "conversationId": None}).status_code == 200
        server.start()
        assert _until_answered(client, path, body).status_code == 200


@pytest.mark.seen("C11")
@pytest.mark.parametrize("door", [native, openai])
@pytest.mark.parametrize("hosts", ["one", "many"])
def test_of_one_that_went_through_two_hosts_neither_answers_without_the_other(
    settings: dict[str, str],
    server: Mongod,
    provider: FaultProvider,
    tmp_path: Path,
    door: Door,
    hosts: str,
) -> None:
    """Each holds a part. The first may not go on although the conversation began there, unless it is the only one."""
    with (
        running_service(tmp_path / "a-data", settings | {"HISTORY_HOSTS": hosts}) as first,
        running_service(tmp_path / "b-data", settings | {"HISTORY_HOSTS": "many"}) as second,
        first.client() as at_first,
        second.client() as at_second,
    ):
        path, body = door("one", "c")
        assert at_first.post(path, json=body).status_code == 200
        _until_read(at_second)
        if hosts == "many":
            path, body = door("two", "c")
            assert at_second.post(path, json=body).status_code == 200
            _until_read(at_first, turns=2)
        server.stop()
        calls = len(provider.calls)
        for streamed in (False, True):
            path, body = door("three", "c")
            response = at_second.post(path, json=body | {"stream": streamed})
            assert response.status_code == 503, response.text
            assert "history" in response.text
            response = at_first.post(path, json=body | {"stream": streamed})
            assert response.status_code == (503 if hosts == "many" else 200), response.text
        if hosts == "many":
            assert len(provider.calls) == calls, "nobody was asked"
            server.start()
            assert _until_answered(at_first, path, body).status_code == 200
            sent = [message["content"] for message in provider.calls[-1].body["messages"]]
            assert sent == ["one", ANSWER, "two", ANSWER, "three"]
        first.kill()
        second.kill()


def _until_read(client: httpx2.Client, turns: int = 1) -> None:
    """Return once the store has the turns, seen from this host."""
    deadline = time.monotonic() + 20
    while len(client.get("/v1/history/ana").json().get("history", ())) < turns:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _until_answered(client: httpx2.Client, path: str, body: dict[str, Any]) -> httpx2.Response:
    """Try as a client would, a few times: the service notices within seconds that the store is back."""
    for _ in range(10):
        response = client.post(path, json=body)
        if response.status_code == 200:
            break
    return response
