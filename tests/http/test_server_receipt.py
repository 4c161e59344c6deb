"""How long a client may take: to send a request, to begin another, to read an answer."""

import select
import sys
import time
from collections.abc import Iterator

import pytest

from app.server.options import ServeOptions
from tests.http.server_fixtures.client import Client
from tests.http.server_fixtures.loops import LOOPS
from tests.http.server_fixtures.running import LoopFactory, Running, running_server

HASTY = ServeOptions(
    header_receipt_seconds=0.4,
    body_receipt_seconds=0.6,
    keep_alive_seconds=0.5,
    write_stall_seconds=0.5,
    final_response_seconds=0.1,
)
HEAD = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"


@pytest.fixture(scope="module", params=LOOPS)
def hasty(request: pytest.FixtureRequest) -> Iterator[Running]:
    loop_factory: LoopFactory = request.param
    with running_server(loop_factory, HASTY) as running:
        yield running


def assert_told_to_be_late(client: Client) -> None:
    received = client.receive()
    assert received.status == 408
    assert received.slug == "request-timeout"
    assert received.problem["retryable"] is True
    assert received.problem["requestId"] == received.headers["x-request-id"]
    assert received.problem["instance"] == f"urn:uuid:{received.headers['x-request-id']}"
    assert received.headers["connection"] == "close"
    assert client.is_closed()


def test_a_connection_that_sends_nothing_is_closed_without_a_word(hasty: Running) -> None:
    with hasty.client() as client:
        assert client.is_closed()


def test_an_unfinished_head_is_a_408(hasty: Running) -> None:
    with hasty.client() as client:
        client.send(b"GET /quick HTTP/1.1\r\nHost: local")
        assert_told_to_be_late(client)


@pytest.mark.parametrize("start", [b"GET /quick HTTP/1.1\r\nX: ", HEAD])
def test_sending_on_slowly_wins_no_time(hasty: Running, start: bytes) -> None:
    with hasty.client() as client:
        client.send(start)
        give_up = time.monotonic() + 10
        while not select.select([client.socket], [], [], 0.12)[0]:
            client.send(b"a")
            assert time.monotonic() < give_up
        assert_told_to_be_late(client)


def test_an_unfinished_body_is_a_408_and_the_application_hears_that_the_client_left(
    hasty: Running,
) -> None:
    with hasty.client() as client:
        client.send(HEAD.replace(b"/echo", b"/echo/unfinished") + b"123")
        assert_told_to_be_late(client)
    hasty.wait_for(lambda: "/echo/unfinished" in hasty.application.left)


def test_an_unfinished_second_request_is_a_408_after_the_first_answer(hasty: Running) -> None:
    with hasty.client() as client:
        client.get("/quick")
        assert client.receive().body == b"quick"
        client.send(b"GET /quick HT")
        assert_told_to_be_late(client)


def test_a_408_waits_for_the_answer_to_an_earlier_request(hasty: Running) -> None:
    with hasty.client() as client:
        client.get("/slow/0.8")
        client.send(b"GET /quick HT")
        assert client.receive().body == b"slow"
        assert_told_to_be_late(client)


def test_an_answer_may_take_longer_than_a_request(hasty: Running) -> None:
    with hasty.client() as client:
        client.get("/slow/0.9")
        assert client.receive().body == b"slow"


@pytest.mark.parametrize("part", [HEAD[:20], HEAD, HEAD + b"123"])
def test_waiting_behind_an_earlier_request_does_not_count(hasty: Running, part: bytes) -> None:
    with hasty.client() as client:
        client.get("/slow/0.9")
        hasty.catch_up()
        client.send(part)
        hasty.catch_up()
        client.send((HEAD + b"123").removeprefix(part))
        assert client.receive().body == b"slow"
        client.send(b"45")
        time.sleep(0.15)  # the server looks at its clients every 0.1 s
        client.send(b"67890")
        assert client.receive().body == b"10"


def test_each_request_has_its_own_time(hasty: Running) -> None:
    with hasty.client() as client:
        for _ in range(2):
            client.send(b"GET /slow/0.5 HT")
            time.sleep(0.15)  # the server looks at its clients every 0.1 s
            client.send(b"TP/1.1\r\nHost: a\r\n\r\n")
            assert client.receive().body == b"slow"


def test_a_body_nobody_waits_for_ends_with_the_connection_and_without_a_second_answer(
    hasty: Running,
) -> None:
    with hasty.client() as client:
        client.send(HEAD.replace(b"/echo", b"/refuse") + b"123")
        assert client.receive().status == 413
        assert client.is_closed()


def test_a_body_nobody_waits_for_may_come_and_the_connection_idles_after_it(
    hasty: Running,
) -> None:
    with hasty.client() as client:
        client.send(HEAD.replace(b"/echo", b"/refuse") + b"123")
        assert client.receive().status == 413
        client.send(b"4567890")
        client.get("/quick")
        assert client.receive().body == b"quick"
        client.send(HEAD.replace(b"/echo", b"/refuse") + b"123")
        assert client.receive().status == 413
        client.send(b"4567890")
        assert client.is_closed()


@pytest.mark.parametrize("noise", [b"", b"\r\n"])
def test_an_idle_connection_is_closed_and_empty_lines_are_no_activity(
    hasty: Running, noise: bytes
) -> None:
    with hasty.client() as client:
        client.get("/quick")
        assert client.receive().body == b"quick"
        client.send(noise)
        assert client.is_closed()


def test_many_slow_clients_are_closed_while_others_are_served(hasty: Running) -> None:
    slow = [hasty.client() for _ in range(50)]
    try:
        for client in slow:
            client.send(b"GET /quick HTTP/1.1\r\nX: ")
        while hasty.connections() > 1:
            with hasty.client() as client:
                client.get("/quick")
                assert client.receive().status == 200
        for client in slow:
            assert client.receive().status == 408
            assert client.is_closed()
    finally:
        for client in slow:
            client.__exit__()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel takes it all")
def test_a_client_that_does_not_read_is_cut_off(hasty: Running) -> None:
    with hasty.client() as client:
        client.get("/stream/1048576")
        hasty.wait_for(lambda: "/stream/1048576" in hasty.application.left)
        hasty.wait_for(lambda: hasty.connections() == 0)
        with pytest.raises(ConnectionResetError):
            while client.socket.recv(65536):  # nor does the kernel go on offering the rest
                pass


def test_a_client_that_reads_again_in_time_is_served_on(hasty: Running) -> None:
    with hasty.client() as client:
        client.get("/stream/1048576")
        connection = hasty.connection()
        hasty.wait_for(lambda: connection.flow.write_paused)
        assert len(client.receive().body) > 1048576
        client.get("/slow/0.9")
        assert client.receive().body == b"slow"


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_client_that_does_not_read_does_not_outlive_the_server(
    loop_factory: LoopFactory,
) -> None:
    options = ServeOptions(final_response_seconds=0.1)
    with running_server(loop_factory, options) as running, running.client() as client:
        client.get("/stream/1048576")
        connection = running.connection()
        running.wait_for(lambda: connection.flow.write_paused)
        running.stop()


@pytest.mark.parametrize("size_bytes", [65536, 131072, 196608])
@pytest.mark.parametrize("option", ["close", "keep-alive"])
def test_a_finished_answer_that_is_not_read_keeps_no_connection(
    hasty: Running, size_bytes: int, option: str
) -> None:
    with Client(hasty.port, receive_buffer_bytes=4096) as client:
        client.send(
            f"GET /stream/{size_bytes} HTTP/1.1\r\nHost: a\r\nConnection: {option}\r\n\r\n".encode()
        )
        hasty.wait_for(lambda: hasty.connections() == 1)
        hasty.wait_for(lambda: hasty.connections() == 0)
