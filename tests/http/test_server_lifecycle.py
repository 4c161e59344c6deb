"""From start to exit code, as a process that gets signals."""

import asyncio
import json
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from app.server.options import ServeOptions
from app.server.server import Server
from app.server.sockets import listening_sockets
from tests.http.server_fixtures.application import Application
from tests.http.server_fixtures.client import WAIT_SECONDS, Client

ROOT = Path(__file__).parents[2]


class Process:
    """A server in a process of its own; every line it writes has to be one JSON object."""

    def __init__(self, application: str = "healthy", **options: Any) -> None:
        arguments = [json.dumps({"port": 0, **options}), application]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.http.server_fixtures.process", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_listening(self) -> int:
        assert self._process.stdout is not None
        line = json.loads(self._process.stdout.readline())
        assert line["message"].startswith("listening on http://127.0.0.1:")
        return int(line["server"]["port"])

    def wait_until_starting(self) -> None:
        assert self._process.stdout is not None
        assert json.loads(self._process.stdout.readline())["message"] == "starting"

    def go_on(self) -> None:
        """Let an application that starts slowly do so."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def signal(self, number: int = signal.SIGTERM) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Wait for the exit; return its code and what was logged since `wait_until_listening`."""
        out, err = self._process.communicate(timeout=WAIT_SECONDS)
        assert err == b""
        return self._process.returncode, [json.loads(line) for line in out.splitlines()]

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def process(application: str = "healthy", **options: Any) -> Iterator[Process]:
    process = Process(application, **options)
    try:
        yield process
    finally:
        process.kill()


def messages(lines: list[dict[str, Any]]) -> list[str]:
    return [line["message"] for line in lines]


def is_refused(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return False
    except ConnectionRefusedError:
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_at_once_with_0_and_two_lines(number: int) -> None:
    with process() as server:
        port = server.wait_until_listening()
        with Client(port) as idle, Client(port) as new:
            idle.get("/quick")
            assert idle.receive().status == 200
            server.signal(number)
            assert idle.is_closed()
            assert new.is_closed()
            code, lines = server.end()
    assert (code, messages(lines)) == (0, ["stopping", "stopped"])


def test_requests_received_before_the_signal_are_answered_and_later_ones_refused() -> None:
    with process() as server, ExitStack() as stack:
        port = server.wait_until_listening()
        clients = [stack.enter_context(Client(port)) for _ in range(50)]
        for client in clients:
            client.get("/quick")
            assert client.receive().status == 200
            client.get("/slow/1")
        idle = stack.enter_context(Client(port))
        idle.get("/quick")
        assert idle.receive().status == 200
        begun = stack.enter_context(Client(port))
        begun.send(b"GET /quick HTTP/1.1\r\nHos")
        with Client(port) as last:
            last.get("/quick")
            server.signal()
            assert last.receive().status == 200
        assert idle.is_closed()
        assert is_refused(port)
        begun.send(b"t: a\r\n\r\n")
        for client in (begun, *clients):
            received = client.receive()
            assert (received.status, received.headers["connection"]) == (200, "close")
            assert client.is_closed()
        assert server.end()[0] == 0


def test_a_client_that_never_finishes_its_request_does_not_delay_the_end() -> None:
    with process(header_receipt_seconds=0.5) as server:
        with Client(server.wait_until_listening()) as client:
            client.send(b"GET /quick HTTP/1.1\r\nHos")
            server.signal()
            assert client.receive().status == 408
        code, lines = server.end()
    assert (code, messages(lines)) == (
        0,
        ["stopping", "request refused: request-timeout", "stopped"],
    )


def test_what_outlives_the_grace_is_told_to_end() -> None:
    with process(shutdown_grace_seconds=0.3) as server:
        with Client(server.wait_until_listening()) as client:
            client.get(f"/stream/{1 << 40}")
            assert client.read_line() == b"HTTP/1.1 200 OK"
            server.signal()
            while client.read_line() != b"error":
                pass
        code, lines = server.end()
    assert (code, messages(lines)) == (0, ["stopping", "stopped"])


def test_a_second_signal_ends_the_grace() -> None:
    with process(shutdown_grace_seconds=3600.0) as server:
        with Client(server.wait_until_listening()) as client:
            client.get(f"/stream/{1 << 40}")
            assert client.read_line() == b"HTTP/1.1 200 OK"
            server.signal()
            assert not select.select([], [], [], 0.3)[0]
            server.signal()
            while client.read_line() != b"error":
                pass
        assert server.end()[0] == 0


def test_ctrl_c_ends_open_streams_without_a_grace() -> None:
    with process(unready_seconds=3600.0, shutdown_grace_seconds=3600.0) as server:
        with Client(server.wait_until_listening()) as client:
            client.get(f"/stream/{1 << 40}")
            assert client.read_line() == b"HTTP/1.1 200 OK"
            server.signal(signal.SIGINT)
            while client.read_line() != b"error":
                pass
        assert server.end()[0] == 0


def test_what_outlives_its_last_words_is_a_503_and_no_stack_in_the_log() -> None:
    with process(shutdown_grace_seconds=0.2, final_response_seconds=0.2) as server:
        with Client(server.wait_until_listening()) as client:
            client.get("/slow/60")
            server.signal()
            received = client.receive()
            assert (received.status, received.slug) == (503, "overloaded")
            assert received.headers["retry-after"] == "1"
            assert client.is_closed()
        code, lines = server.end()
    assert (code, messages(lines)) == (0, ["stopping", "requests cut off: 1", "stopped"])


def test_readiness_is_withdrawn_first_while_everything_else_is_still_served() -> None:
    with process(unready_seconds=3600.0) as server:
        port = server.wait_until_listening()
        with Client(port) as client:
            client.get("/ready")
            assert client.receive().status == 200
        server.signal()
        status = 200
        while status == 200:
            with Client(port) as client:
                client.get("/ready")
                status = client.receive().status
                client.get("/quick")
                assert client.receive().status == 200
        assert status == 503
        server.signal()
        assert server.end()[0] == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_an_address_that_cannot_be_had_is_one_line_and_1(host: str) -> None:
    (taken,) = listening_sockets("127.0.0.1", 0)
    with taken, process(host=host, port=taken.getsockname()[1]) as server:
        code, (line,) = server.end()
    assert code == 1
    assert line["log"]["level"] == "critical"
    assert line["message"].startswith(f"cannot listen on {host} port ")
    assert "error" not in line


def test_a_wrong_setting_is_one_line_and_its_own_exit_code() -> None:
    with process("configuration") as server:
        code, (line,) = server.end()
    assert (code, line["message"]) == (78, "SETTING has to be something else")
    assert "stack_trace" not in line["error"]


def test_a_failure_nobody_foresaw_is_1_and_shows_where_it_came_from() -> None:
    with process("bug") as server:
        code, (line,) = server.end()
    assert (code, line["message"]) == (1, "the application failed to start")
    assert line["error"]["type"] == "ValueError"
    assert "application.py" in line["error"]["stack_trace"]


def test_an_application_that_fails_to_end_is_1() -> None:
    with process("bad end") as server:
        server.wait_until_listening()
        server.signal()
        code, lines = server.end()
    assert (code, messages(lines)) == (
        1,
        ["stopping", "the application did not end in order", "stopped"],
    )


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere another process's limits are hidden")
def test_a_process_may_open_a_file_for_every_connection_and_its_provider() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        server = Process(max_connections=100)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        server.wait_until_listening()
        assert resource.prlimit(server.pid, resource.RLIMIT_NOFILE) == (min(1224, hard), hard)
    finally:
        server.kill()


def test_a_client_that_comes_before_the_application_has_started_waits() -> None:
    (listening,) = listening_sockets("127.0.0.1", 0)
    server = Server(Application(), ServeOptions())
    thread = Thread(target=lambda: asyncio.run(server.serve([listening])))
    with Client(listening.getsockname()[1]) as client:
        client.get("/quick")
        thread.start()
        assert client.receive().status == 200
    server.stop()
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()


def test_a_signal_while_the_application_starts_ends_it_in_order() -> None:
    with process("slow start") as server:
        server.wait_until_starting()
        server.signal()
        server.go_on()
        code, lines = server.end()
    assert (code, messages(lines)[1:]) == (0, ["stopping", "stopped"])


def test_every_address_of_a_host_gets_the_same_port() -> None:
    sockets = listening_sockets("", 0)
    try:
        assert len({bound.getsockname()[1] for bound in sockets}) == 1
        assert "0.0.0.0" in {bound.getsockname()[0] for bound in sockets}
    finally:
        for bound in sockets:
            bound.close()
