"""Several processes on one port: they all answer, are started again, stopped together, and leave nothing running."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from infra.selftest.exchange import Exchange
from infra.selftest.faults import FAULTS
from infra.selftest.provider import FaultProvider
from tests.support.prefork import ROOT
from tests.support.service import Service, command, environment, plain_client, running_service

BODY = {"userId": "ana", "userPrompt": "How are you?"}
NO_STORE = "mongodb://127.0.0.1:1/?directConnection=true"
"""A store outside of the process, which does not answer: chats do not depend on it."""
PATIENCE_SECONDS = 120.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")


@contextmanager
def several(
    data_dir: Path, settings: dict[str, str], count: int = 3, **more: str
) -> Iterator[Service]:
    """A service of so many processes, all of which serve."""
    with running_service(
        data_dir, {**settings, "MONGO_URI": NO_STORE, "WORKERS": str(count), **more}
    ) as service:
        until(lambda: len(process_ids(service)) == count)
        yield service


def process_ids(service: Service) -> dict[int, int]:
    """The processes that serve, or last served, by number."""
    lines = [json.loads(line) for line in list(service.log) if " serves" in line]
    return {int(line["message"].split()[1]): line["process"]["pid"] for line in lines}


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        with suppress(OSError):
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first


@contextmanager
def waiting_provider(provider: FaultProvider) -> Iterator[threading.Event]:
    """The provider answers once the event is set."""
    go_on = threading.Event()

    async def waiting(exchange: Exchange) -> None:
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        await FAULTS["healthy"](exchange)

    provider.override["healthy"] = waiting
    try:
        yield go_on
    finally:
        go_on.set()
        del provider.override["healthy"]


def ask(service: Service) -> int:
    """Chat on a connection of its own; return the status, 0 where the connection breaks."""
    try:
        with plain_client(service.url) as client:
            return client.post("/v1/chat", json=BODY).status_code
    except httpx2.TransportError:
        return 0


def requests_of(port: int) -> float:
    """The chats that the process with this metrics port has answered."""
    with plain_client(f"http://127.0.0.1:{port}") as client:
        lines = client.get("/metrics").text.splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("http_server_request_duration_seconds_count")
        and 'http_route="/v1/chat"' in line
    )


def test_all_processes_answer_on_the_port_and_have_their_own_metrics_port(
    settings: dict[str, str], data_dir: Path
) -> None:
    first = free_ports(2)
    with (
        several(data_dir, settings, 2, METRICS_PORT=str(first)) as service,
        ThreadPoolExecutor(20) as pool,
    ):
        answers = []

        def all_have_answered() -> bool:
            answers.extend(pool.map(lambda _: ask(service), range(20)))
            return all(requests_of(first + number) > 0 for number in range(2))

        until(all_have_answered)
        assert set(answers) == {200}
        assert len([line for line in service.log if '"listening on' in line]) == 1
        assert service.stop() == 0
        assert sum("stopped" in line for line in service.log) == 1


@pytest.mark.slow
def test_a_killed_process_takes_only_its_own_requests_along_and_is_started_again(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider
) -> None:
    with several(data_dir, settings) as service, ThreadPoolExecutor(30) as pool:
        before = process_ids(service)
        with waiting_provider(provider) as go_on:
            asked = len(provider.calls)
            answers = [pool.submit(ask, service) for _ in range(30)]
            until(lambda: len(provider.calls) == asked + 30)
            os.kill(before[2], signal.SIGKILL)
            (line,) = service.lines_with("process 2 ended")
            go_on.set()
            statuses = [answer.result(PATIENCE_SECONDS) for answer in answers]
        assert set(statuses) <= {0, 200}
        assert statuses.count(200) > 0
        assert "SIGKILL" in json.loads(line)["message"]
        assert json.loads(line)["process"] == {"pid": before[2], "exit_code": -9}
        until(lambda: process_ids(service)[2] != before[2])
        after = process_ids(service)
        assert (after[1], after[3]) == (before[1], before[3])
        assert {ask(service) for _ in range(10)} == {200}


def test_the_pause_before_a_restart_doubles(settings: dict[str, str], data_dir: Path) -> None:
    with several(data_dir, settings, 2) as service:
        for _ in range(3):
            pid = process_ids(service)[2]
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: process_ids(service)[2] != pid)  # type: ignore[misc]
        pauses = [line.split("again in ")[1].split('"')[0] for line in service.lines_with("ended")]
    assert pauses == ["0.2 s", "0.4 s", "0.8 s"]


@pytest.mark.slow
def test_a_process_that_is_stopped_alone_finishes_its_requests_and_is_replaced(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider
) -> None:
    with several(data_dir, settings, 2) as service, ThreadPoolExecutor(10) as pool:
        before = process_ids(service)
        with waiting_provider(provider) as go_on:
            asked = len(provider.calls)
            answers = [pool.submit(ask, service) for _ in range(10)]
            until(lambda: len(provider.calls) == asked + 10)
            for pid in before.values():
                os.kill(pid, signal.SIGTERM)
            go_on.set()
            assert {answer.result(PATIENCE_SECONDS) for answer in answers} == {200}
        until(lambda: all(process_ids(service)[n] != pid for n, pid in before.items()))
        assert all("exit code 0" in line for line in service.lines_with(" ended with "))
        assert ask(service) == 200


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [False, True])
def test_requests_in_progress_are_answered_before_the_exit_also_when_all_get_the_signal(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider, to_all: bool
) -> None:
    with several(data_dir, settings) as service, ThreadPoolExecutor(30) as pool:
        ids = process_ids(service)
        with waiting_provider(provider) as go_on:
            asked = len(provider.calls)
            answers = [pool.submit(ask, service) for _ in range(30)]
            until(lambda: len(provider.calls) == asked + 30)
            for pid in ids.values() if to_all else ():
                os.kill(pid, signal.SIGTERM)
            service.process.send_signal(signal.SIGTERM)
            until(lambda: is_refused(service.port))
            go_on.set()
            assert {answer.result(PATIENCE_SECONDS) for answer in answers} == {200}
        assert service.stop() == 0
        assert not any(is_running(pid) for pid in ids.values())


def is_refused(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return False
    except ConnectionRefusedError:
        return True


@pytest.mark.slow
def test_a_second_signal_ends_the_grace_period_of_all(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider
) -> None:
    with (
        several(data_dir, settings, SHUTDOWN_GRACE_SECONDS="3600") as service,
        waiting_provider(provider),
        ThreadPoolExecutor(10) as pool,
    ):
        asked = len(provider.calls)
        answers = [pool.submit(ask, service) for _ in range(10)]
        until(lambda: len(provider.calls) == asked + 10)
        service.process.send_signal(signal.SIGTERM)
        service.lines_with("stopping")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE_SECONDS) == 0
        assert 200 not in {answer.result(PATIENCE_SECONDS) for answer in answers}


@pytest.mark.slow
def test_a_process_that_does_not_end_is_killed(settings: dict[str, str], data_dir: Path) -> None:
    with several(data_dir, settings, 2) as service:
        stuck = process_ids(service)[1]
        os.kill(stuck, signal.SIGSTOP)
        service.process.send_signal(signal.SIGTERM)
        service.lines_with("stopping")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE_SECONDS) == 1
        assert "SIGKILL" in service.lines_with("process 1 ended")[0]
        assert not is_running(stuck)


def test_nothing_is_left_running_when_the_supervisor_is_killed(
    settings: dict[str, str], data_dir: Path
) -> None:
    with several(data_dir, settings) as service:
        ids = process_ids(service)
        service.process.kill()
        until(lambda: not any(is_running(pid) for pid in ids.values()))
        assert is_refused(service.port)


def test_a_configuration_error_is_one_line_and_exit_78(data_dir: Path) -> None:
    models = data_dir.parent / "models.toml"
    models.write_text("nonsense = [")
    done = command(data_dir, "serve", MONGO_URI=NO_STORE, WORKERS="3", MODELS_FILE=str(models))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 78
    assert [line["log"]["level"] for line in lines].count("critical") == 1


def test_metrics_ports_beyond_the_last_port_are_a_configuration_error(data_dir: Path) -> None:
    done = command(data_dir, "serve", MONGO_URI=NO_STORE, WORKERS="3", METRICS_PORT="65534")
    assert done.returncode == 78
    assert "METRICS_PORT" in done.stdout


@pytest.mark.parametrize("which", [0, 1])
def test_a_process_that_cannot_start_ends_all_with_its_exit_code(
    data_dir: Path, which: int
) -> None:
    first = free_ports(2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + which))
        taken.listen()
        done = command(data_dir, "serve", MONGO_URI=NO_STORE, WORKERS="2", METRICS_PORT=str(first))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {first + which}" in done.stdout


def test_a_port_that_is_taken_is_one_line_and_exit_1(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = command(data_dir, "serve", MONGO_URI=NO_STORE, WORKERS="2", PORT=port)
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert "cannot listen" in json.loads(line)["message"]


def test_the_embedded_store_is_served_by_one_process_which_says_why(
    settings: dict[str, str], data_dir: Path
) -> None:
    with running_service(data_dir, {**settings, "WORKERS": "4"}) as service:
        (line,) = service.lines_with("WORKERS=4 is ignored")
        assert "the embedded store is used by one process" in line
        children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
        assert children.read_text() == ""
        assert ask(service) == 200
        assert service.stop() == 0


@pytest.mark.slow
def test_ctrl_c_ends_all_with_0_and_no_traceback(data_dir: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), "serve"],
        cwd=data_dir.parent,
        env=environment(data_dir, {"MONGO_URI": NO_STORE, "WORKERS": "2", "LOG_FORMAT": "pretty"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        lines = []
        while b"process 2 of 2 serves" not in (line := process.stdout.readline()):
            assert line, lines
            lines.append(line)
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stdout.read().decode()
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert "Traceback" not in rest
    # a store that is away may be reported in between
    ends = {"stopping", "stopped"}.intersection
    assert [end for line in rest.splitlines() for end in ends(line.split()[-1:])] == [
        "stopping",
        "stopped",
    ]
    assert sum(b"Ctrl-C" in line for line in lines) == 1
    assert sum(b"gemini is skipped" in line for line in lines) == 1
