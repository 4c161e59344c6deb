"""What was answered with 200 is there after SIGKILL."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import httpx2
import pytest

from infra.selftest.provider import FaultProvider
from tests.fakes.provider import models_file, provider_in_thread
from tests.support.service import running_service


@pytest.fixture(scope="module")
def provider() -> Iterator[FaultProvider]:
    with provider_in_thread() as provider:
        yield provider


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.faults)])
def test_a_killed_server_loses_nothing_it_acknowledged(tmp_path: Path, kills: int) -> None:
    asked: list[str] = []
    for kill in range(kills):
        with running_service(tmp_path / "data") as service, service.client() as client:
            history = client.get("/v1/history/ana", params={"limit": 100}).json()["history"]
            assert [item["id"] for item in history] == asked[::-1]
            for _ in range(1 + kill % 3):
                response = client.post("/v1/chat", json={"userId": "ana", "userPrompt": "hi"})
                assert response.status_code == 200
                asked.append(response.json()["id"])
            service.kill()
    with running_service(tmp_path / "data") as service, service.client() as client:
        history = client.get("/v1/history/ana", params={"limit": 100}).json()["history"]
    assert [item["id"] for item in history] == asked[::-1]


def test_what_was_under_way_when_it_was_killed_is_told_as_interrupted(
    tmp_path: Path, provider: FaultProvider
) -> None:
    settings = {
        "MODELS_FILE": str(models_file(tmp_path / "models.toml", provider, ["healthy", "silent"])),
        "GEM_KEY": "k",
        "REQUEST_TIMEOUT_SECONDS": "3",
        "INTERRUPTED_GRACE_SECONDS": "0",
    }
    with running_service(tmp_path / "data", settings) as service:

        def ask() -> None:
            body = {"userId": "ana", "userPrompt": "hi", "model": "gem-silent"}
            with service.client() as client, pytest.raises(httpx2.TransportError):
                client.post("/v1/chat", json=body)

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: markers(tmp_path / "data") == 1)
        service.kill()
        asking.join(10)
    with running_service(tmp_path / "data", settings) as service, service.client() as client:

        def interrupted() -> list[dict[str, object]]:
            page = client.get("/v1/history/ana", params={"status": "interrupted"}).json()
            return list(page["history"])

        until(lambda: len(interrupted()) == 1)
        assert interrupted()[0]["userPrompt"] == "hi"
        assert client.get("/v1/history/ana").json()["history"] == []


def markers(data_dir: Path) -> int:
    connection = apsw.Connection(str(data_dir / "history.db"), flags=apsw.SQLITE_OPEN_READONLY)
    return int(connection.execute("SELECT count(*) FROM started").fetchall()[0][0])


def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
