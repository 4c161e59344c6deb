"""A conversation goes on while its store is away, and sees what was said before."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infra.selftest.provider import FaultProvider
from tests.fakes.provider import models_file, provider_in_thread
from tests.mongod import Mongod, need_mongod
from tests.service import Service, running_service

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
def service(server: Mongod, provider: FaultProvider, tmp_path: Path) -> Iterator[Service]:
    settings = {
        "MODELS_FILE": str(models_file(tmp_path / "models.toml", provider, ["healthy"])),
        "GEM_KEY": "a-key",
        "MONGO_URI": server.uri,
    }
    with running_service(tmp_path / "data", settings) as service:
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


def _until_answered(client: httpx2.Client, path: str, body: dict[str, Any]) -> httpx2.Response:
    """Try as a client would, a few times: the service notices within seconds that the store is back."""
    for _ in range(10):
        response = client.post(path, json=body)
        if response.status_code == 200:
            break
    return response
