"""Turns, failures of the application, and clients that leave in odd ways."""

import gc
from collections.abc import Iterator

import pytest

from app.server.connection import Connection
from app.server.options import ServeOptions
from tests.http.server_fixtures.client import Client
from tests.http.server_fixtures.loops import LOOPS
from tests.http.server_fixtures.running import Running, running_server

EXPECTING = "Expect: 100-continue"


@pytest.fixture(scope="module", params=LOOPS)
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    with running_server(request.param, ServeOptions(final_response_seconds=0.1)) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[Client]:
    with server.client() as client:
        yield client


def test_a_connection_serves_one_request_after_another(client: Client) -> None:
    for body in (b"", b"a", b"a" * 100_000):
        client.post("/echo", body)
        assert client.receive().body == str(len(body)).encode()


def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    client.get("/slow/0.2")
    client.post("/echo", b"abc")
    client.get("/quick")
    client.post("/echo", b"a" * 300_000)
    client.get("/quick")
    bodies = [client.receive().body for _ in range(5)]
    assert bodies == [b"slow", b"3", b"quick", b"300000", b"quick"]


def test_a_crash_is_a_problem_without_a_word_about_it_and_the_connection_goes_on(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/crash")
    received = client.receive()
    assert (received.status, received.slug) == (500, "internal")
    assert received.problem["requestId"] == received.headers["x-request-id"]
    assert b"secret" not in received.body
    client.get("/quick")
    assert client.receive().body == b"quick"
    assert [record.message for record in caplog.records] == ["the application failed"]


def test_a_crash_in_mid_answer_does_not_look_like_its_end(client: Client) -> None:
    client.get("/crash-late")
    with pytest.raises(EOFError):
        client.receive()


@pytest.mark.parametrize("code", [0, 10, 13, 31, 127])
def test_a_header_that_could_end_itself_is_never_sent(
    client: Client, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    client.get(f"/header/{code}")
    with pytest.raises(EOFError):
        client.receive()
    assert [record.message for record in caplog.records] == ["the application failed"]


def test_a_tab_in_a_header_is_sent(client: Client) -> None:
    client.get("/header/9")
    assert client.receive().headers["x-said"] == "a\tx-injected: b"


def test_no_answer_at_all_is_a_problem(client: Client) -> None:
    client.get("/nothing")
    received = client.receive()
    assert (received.status, received.slug) == (500, "internal")


@pytest.mark.parametrize("path", ["/quick", "/slow/0.3"])
def test_a_client_that_closes_its_sending_half_gets_its_answer(client: Client, path: str) -> None:
    client.get("/slow/0.1")
    client.get(path)
    client.half_close()
    assert client.receive().body == b"slow"
    assert client.receive().status == 200
    assert client.is_closed()


def test_a_body_is_read_although_the_sending_half_is_closed(client: Client) -> None:
    client.get("/slow/0.1")
    client.post("/echo", b"abc")
    client.half_close()
    assert client.receive().body == b"slow"
    assert client.receive().body == b"3"


@pytest.mark.parametrize(
    ("leave", "pipelined"),
    [
        (Client.half_close, 0),
        (Client.reset, 0),
        (Client.reset, 3),
        (Client.__exit__, 0),
        (Client.__exit__, 3),
    ],
)
def test_a_stream_hears_that_its_client_left(
    server: Running, client: Client, leave: type, pipelined: int
) -> None:
    path = f"/stream/{1 << 40}"
    del server.application.left[:]
    client.get(path)
    for _ in range(pipelined):
        client.get("/quick")
    assert client.read_line() == b"HTTP/1.1 200 OK"
    leave(client)
    server.wait_for(lambda: path in server.application.left)


def test_a_request_behind_a_stream_hears_that_its_client_left(
    server: Running, client: Client
) -> None:
    del server.application.left[:]
    lines = (
        f"GET /stream/{1 << 40} HTTP/1.1\r\nHost: a\r\n\r\nGET /watch HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    client.send(lines.encode())
    client.half_close()
    server.wait_for(lambda: server.application.left == [f"/stream/{1 << 40}", "/watch"])


@pytest.mark.slow
def test_connections_leave_nothing_to_the_garbage_collector(server: Running) -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            with server.client() as client:
                client.get("/quick")
                assert client.receive().status == 200
                client.get("/slow/0.01")
        server.wait_for(lambda: not any(isinstance(it, Connection) for it in gc.get_objects()))
    finally:
        gc.enable()


def test_a_silent_application_hears_that_its_client_left_and_nobody_is_answered(
    server: Running, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/watch")
    server.wait_for(lambda: "/watch" in server.application.seen)
    client.half_close()
    assert client.is_closed()
    assert "/watch" in server.application.left
    assert caplog.records == []


@pytest.mark.parametrize("leave", [Client.half_close, Client.reset, Client.__exit__])
def test_an_application_hears_that_a_body_will_not_come(
    server: Running, client: Client, leave: type
) -> None:
    del server.application.left[:]
    client.send(b"POST /echo/cut HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123")
    server.wait_for(lambda: "/echo/cut" in server.application.seen)
    leave(client)
    server.wait_for(lambda: "/echo/cut" in server.application.left)


@pytest.mark.parametrize("sent", [b"", b"GET /quick HTTP/1.1\r\nHo", b"\r\n"])
@pytest.mark.parametrize("leave", [Client.half_close, Client.reset, Client.__exit__])
def test_a_client_that_leaves_early_leaves_nothing(
    server: Running, client: Client, sent: bytes, leave: type
) -> None:
    server.wait_for(lambda: server.connections() == 1)
    client.send(sent)
    leave(client)
    server.wait_for(lambda: server.connections() == 0)


def test_a_client_that_asks_first_is_told_to_go_on(client: Client) -> None:
    client.send(
        f"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n{EXPECTING}\r\n\r\n".encode()
    )
    assert client.receive().status == 100
    client.send(b"abc")
    assert client.receive().body == b"3"
    client.get("/quick")
    assert client.receive().body == b"quick"


def test_a_client_that_asks_first_is_refused_without_a_body_and_closed(client: Client) -> None:
    client.send(
        f"POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n{EXPECTING}\r\n\r\n".encode()
    )
    assert client.receive().status == 413
    assert client.is_closed()
