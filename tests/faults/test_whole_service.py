"""What a caller sees of the whole service while its parts are away, killed or refused."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.fakes.provider import models_file, provider_in_thread
from tests.support.aws_emulator import AwsEmulator, pausable_emulator, shared_emulator
from tests.support.cloud_path import running_worker
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import Mongod, need_mongod
from tests.support.service import running_service

BODY = {"userId": "ana", "userPrompt": "hi"}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def emulator() -> AwsEmulator:
    return shared_emulator()


@pytest.fixture
def pausable() -> Iterator[AwsEmulator]:
    with pausable_emulator() as emulator:
        yield emulator


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[Mongod]:
    need_mongod()
    mongod = Mongod(tmp_path / "mongod")
    mongod.start()
    yield mongod
    mongod.stop()


def cloud(emulator: AwsEmulator, **more: str) -> dict[str, str]:
    return {**deploy_data_stack(emulator).settings, **more}


def ask(client: httpx2.Client) -> str:
    response = client.post("/v1/chat", json=BODY)
    assert response.status_code == 200, response.text
    return str(response.json()["id"])


def ids(client: httpx2.Client) -> list[str]:
    response = client.get("/v1/history/ana", params={"limit": "100"})
    return [item["id"] for item in response.json().get("history", [])]


def degraded(client: httpx2.Client) -> list[dict[str, object]]:
    return list(client.get("/health/ready").json()["degraded"])


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)


def test_what_is_erased_before_the_worker_has_it_stays_erased(
    data_dir: Path, emulator: AwsEmulator
) -> None:
    settings = cloud(emulator)
    with running_service(data_dir, settings) as service, service.client() as client:
        erased = [ask(client) for _ in range(3)]
        assert client.delete("/v1/history/ana").status_code == 200
        kept = ask(client)
        with running_worker(data_dir, settings):
            until(lambda: ids(client) == [kept])
            for one in erased:
                assert client.get(f"/v1/history/ana/{one}").status_code == 404


@pytest.mark.faults
def test_without_an_outbox_nobody_is_asked_while_nothing_can_be_kept(
    data_dir: Path, pausable: AwsEmulator
) -> None:
    settings = cloud(pausable, OUTBOX_ENABLED="false")
    with running_service(data_dir, settings) as service, service.client() as client:
        ask(client)
        pausable.pause()

        def is_refused() -> bool:
            problem = client.post("/v1/chat", json=BODY).json()
            return bool(problem.get("type") == "/problems/history-unavailable")

        until(is_refused)
        pausable.resume()
        until(lambda: client.post("/v1/chat", json=BODY).status_code == 200)


def test_without_outbox_or_queue_nobody_is_asked_while_mongodb_is_away(
    tmp_path: Path, data_dir: Path
) -> None:
    need_mongod()
    mongod = Mongod(tmp_path / "mongod")
    with provider_in_thread() as provider:
        settings = {
            "MODELS_FILE": str(models_file(tmp_path / "models.toml", provider, ["healthy"])),
            "GEM_KEY": "k",
            "MONGO_URI": mongod.uri,
            "OUTBOX_ENABLED": "false",
        }
        with running_service(data_dir, settings) as service, service.client() as client:
            until(lambda: client.get("/health/ready").status_code == 503)
            assert [one["component"] for one in degraded(client)] == ["MongoDB"]
            response = client.post("/v1/chat", json=BODY)
            assert response.status_code == 503
            assert response.json()["type"] == "/problems/history-unavailable"
            assert provider.calls == []
            try:
                mongod.start()
                until(lambda: client.get("/health/ready").status_code == 200)
                assert ids(client) == []
                kept = ask(client)
                page = client.get("/v1/history/ana")
                assert [item["id"] for item in page.json()["history"]] == [kept]
                assert "X-History-Lag-Seconds" not in page.headers, "this host delivers nothing"
            finally:
                mongod.kill()


def test_a_key_answers_once_on_two_hosts_that_share_a_table(
    tmp_path: Path, emulator: AwsEmulator
) -> None:
    settings = cloud(emulator)
    key = {"Idempotency-Key": "once"}
    with ExitStack() as stack:
        clients = []
        for host in ("one", "other"):
            (tmp_path / host).mkdir()
            service = stack.enter_context(running_service(tmp_path / host / "data", settings))
            clients.append(stack.enter_context(service.client()))
        stack.enter_context(running_worker(tmp_path / "one" / "data", settings))
        first = clients[0].post("/v1/chat", json=BODY, headers=key)
        assert first.status_code == 200
        until(lambda: ids(clients[1]) == [first.json()["id"]])
        again = clients[1].post("/v1/chat", json=BODY, headers=key)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json()["id"] == first.json()["id"]


def test_everything_down_at_the_start_heals_without_a_restart(
    data_dir: Path, pausable: AwsEmulator
) -> None:
    settings = cloud(pausable)
    pausable.pause()
    with ExitStack() as stack:
        service = stack.enter_context(running_service(data_dir, settings))
        client = stack.enter_context(service.client())
        stack.enter_context(running_worker(data_dir, settings))
        asked = [ask(client) for _ in range(3)]
        ready = client.get("/health/ready")
        assert (ready.status_code, bool(ready.json()["degraded"])) == (200, True)
        pausable.resume()
        until(lambda: ids(client) == asked[::-1])


def test_chats_go_on_while_mongodb_is_away_and_it_catches_up(
    data_dir: Path, mongod: Mongod
) -> None:
    settings = {"MONGO_URI": mongod.uri}
    with running_service(data_dir, settings) as service, service.client() as client:
        asked = [ask(client) for _ in range(5)]
        until(lambda: ids(client) == asked[::-1])
        mongod.stop()
        asked += [ask(client) for _ in range(20)]
        assert client.get(f"/v1/history/ana/{asked[-1]}").status_code == 200  # read what you wrote
        page = client.get("/v1/history/ana")
        assert page.json()["type"] == "/problems/history-store-unavailable"
        erasing = client.delete("/v1/history/ana")
        assert (erasing.status_code, erasing.json()["type"]) == (
            503,
            "/problems/history-store-unavailable",
        )
        assert [one["component"] for one in degraded(client)] == ["history store"]
        mongod.start()
        until(lambda: ids(client) == asked[::-1])
        until(lambda: degraded(client) == [])
        page = client.get("/v1/history/ana")
        assert float(page.headers["X-History-Lag-Seconds"]) >= 0


@pytest.mark.faults  # the short sibling is under load, in test_ledger_kill.py
def test_what_a_killed_process_had_not_delivered_is_delivered_by_the_next(
    data_dir: Path, mongod: Mongod
) -> None:
    settings = {"MONGO_URI": mongod.uri}
    asked: list[str] = []
    for _ in range(2):
        with running_service(data_dir, settings) as service, service.client() as client:
            ask(client)
            mongod.pause()  # the store stalls first: otherwise saving after the answer would pass too
            asked += [ask(client) for _ in range(5)]
            service.kill()
        mongod.resume()
    with running_service(data_dir, settings) as service, service.client() as client:
        until(lambda: set(asked) <= set(ids(client)))
        assert len(ids(client)) == len(set(ids(client))) == 12


def test_best_effort_answers_and_says_that_it_is_not_kept(data_dir: Path) -> None:
    resource = pytest.importorskip("resource", reason="needs rlimits of POSIX")
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    with (
        running_service(data_dir, {"HISTORY_MODE": "best_effort"}) as service,
        service.client() as client,
    ):
        ask(client)
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
        # the second one is known beforehand not to be kept; long instructions are a file of their own
        for changes in ({}, {}, {"systemPrompt": "Be short. " * 1000}):
            response = client.post("/v1/chat", json={**BODY, **changes})
            assert response.status_code == 200
            assert response.json()["history"] == {"status": "not_persisted"}
        (line,) = service.lines_with(response.headers["X-Request-Id"])
        assert '"level":"error"' in line
        assert "not_persisted" in line
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, unlimited)

        def is_kept_again() -> bool:
            receipt = client.post("/v1/chat", json=BODY).json()["history"]
            return bool(receipt == {"status": "accepted"})

        until(is_kept_again)
