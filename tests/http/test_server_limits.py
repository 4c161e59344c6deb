"""How much a client may send before it is told to stop, and that nothing is kept of what nobody reads."""

import select
import time
from collections.abc import Iterator

import pytest

from app.server.options import ServeOptions
from tests.http.server_fixtures.client import Client
from tests.http.server_fixtures.loops import LOOPS
from tests.http.server_fixtures.running import Running, running_server

KIB = 1024
LIMITED = ServeOptions(max_connections=40, body_receipt_seconds=3.0, final_response_seconds=0.1)


@pytest.fixture(scope="module", params=LOOPS)
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    with running_server(request.param, LIMITED) as running:
        yield running


def assert_refused(client: Client, status: int, slug: str) -> None:
    received = client.receive()
    assert (received.status, received.slug) == (status, slug)
    assert received.problem["status"] == status
    assert client.is_closed()


def get(target: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: a", *headers, "", ""]).encode()


def chunked(path: str) -> bytes:
    return (f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").encode()


def test_the_longest_url_is_taken_and_one_byte_more_is_a_414(server: Running) -> None:
    longest = "/quick?" + "a" * (8 * KIB - len("/quick?"))
    with server.client() as client:
        client.send(get(longest))
        assert client.receive().status == 200
        client.send(get(longest + "a"))
        assert_refused(client, 414, "uri-too-long")


def test_a_url_is_refused_before_it_ends(server: Running) -> None:
    with server.client() as client:
        client.send(b"GET /" + b"a" * 5000)
        client.send(b"a" * 5000)
        assert_refused(client, 414, "uri-too-long")


def test_the_largest_headers_are_taken_and_one_byte_more_is_a_431(server: Running) -> None:
    size_bytes = 16 * KIB - len("Host: a\r\nX: \r\n")
    with server.client() as client:
        client.send(get("/quick", "X: " + "a" * size_bytes))
        assert client.receive().status == 200
        client.send(get("/quick", "X: " + "a" * (size_bytes + 1)))
        assert_refused(client, 431, "headers-too-large")


def test_the_largest_head_is_taken_also_in_pieces_and_with_a_large_body(server: Running) -> None:
    target = "/echo?" + "a" * (8 * KIB - len("/echo?"))
    padding = "a" * (16 * KIB - len("Host: localhost\r\nContent-Length: 200000\r\nX: \r\n"))
    head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\nX: {padding}\r\n\r\n"
    trailer = b"1\r\na\r\n0\r\n", b"X: " + b"a" * (12 * KIB), b"\r\n\r\n"
    with server.client() as client:
        for piece in (head[:20000].encode(), head[20000:].encode(), b"a" * 200000):
            client.send(piece)
            server.catch_up()
        assert client.receive().body == b"200000"
        for piece in (chunked("/echo"), *trailer):
            client.send(piece)
            server.catch_up()
        assert client.receive().body == b"1"
        for piece in (head[:20000].encode(), head[20000:].encode() + b"a" * 200000):
            client.send(piece)
            server.catch_up()
        assert client.receive().body == b"200000"
        client.send(head.encode())
        server.catch_up()
        client.send(b"a" * 200000)
        assert client.receive().body == b"200000"


@pytest.mark.parametrize("line", [b"X: " + b"a" * 70000, b"X: a\r\n" * 12000])
def test_headers_are_refused_before_they_end(server: Running, line: bytes) -> None:
    with server.client() as client:
        client.send_what_is_taken(b"GET /quick HTTP/1.1\r\nHost: a\r\n" + line)
        assert_refused(client, 431, "headers-too-large")


def test_trailers_are_not_headers(server: Running) -> None:
    with server.client() as client:
        client.send(chunked("/headers") + b"1\r\na\r\n0\r\nX-Admin: yes\r\n\r\n")
        assert b"x-admin" not in client.receive().body
        client.get("/quick")
        assert client.receive().body == b"quick"


@pytest.mark.parametrize("framing", [b"0\r\nX: ", b"1;x="], ids=["trailers", "extensions"])
def test_endless_framing_of_a_body_is_a_431(server: Running, framing: bytes) -> None:
    with server.client() as client:
        client.send(chunked("/echo") + framing)
        while not select.select([client.socket], [], [], 0.01)[0]:
            client.send(b"a" * KIB)
        assert_refused(client, 431, "headers-too-large")


def test_many_small_chunks_are_a_body_like_any_other(server: Running) -> None:
    with server.client() as client:
        client.send(chunked("/echo"))
        for _ in range(20):
            client.send(b"1\r\na\r\n" * 2000)
        client.send(b"0\r\n\r\n")
        assert client.receive().body == b"40000"


@pytest.mark.parametrize("option", ["keep-alive", "close"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_refused_body_does_not_keep_its_sender_from_reading_why(
    server: Running, option: str, is_chunked: bool
) -> None:
    body = b"a" * (10 * KIB * KIB)
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if is_chunked else body
    head = f"POST /refuse HTTP/1.1\r\nHost: a\r\nConnection: {option}\r\n{length}\r\n\r\n"
    with server.client() as client:
        client.send(head.encode() + framed)
        received = client.receive()
        assert (received.status, received.body) == (413, b"too much")
        if option == "close":
            assert client.is_closed()
        else:
            client.get("/quick")
            assert client.receive().body == b"quick"


def test_an_endless_refused_body_ends_the_connection(server: Running) -> None:
    piece = b"%x\r\n%s\r\n" % (KIB * KIB, b"a" * (KIB * KIB))
    with server.client() as client:
        client.send(chunked("/refuse") + piece)
        assert client.receive().status == 413
        with pytest.raises(OSError, match=r"reset|pipe"):
            for _ in range(200):
                client.send(piece)


@pytest.mark.realtime
def test_a_body_the_application_does_not_read_is_not_taken(server: Running) -> None:
    with server.client() as client:
        client.socket.settimeout(0.5)
        client.send(b"POST /slow/60 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        with pytest.raises(TimeoutError):
            for _ in range(200):
                client.send(b"a" * KIB * KIB)
        assert len(server.connection().cycle.body) < 512 * KIB
    server.wait_for(lambda: server.connections() == 0)


def test_a_connection_too_many_is_a_503_and_the_next_after_one_left_is_served(
    server: Running,
) -> None:
    clients = [server.client() for _ in range(40)]
    try:
        server.wait_for(lambda: server.connections() == 40)
        with server.client() as client:
            client.send_what_is_taken(get("/quick"))
            received = client.receive()
            assert (received.status, received.slug) == (503, "overloaded")
            assert received.headers["retry-after"] == "1"
            assert server.connections() == 40
            assert client.is_closed()
            clients.pop().__exit__()
            server.wait_for(lambda: server.connections() == 39)
            server.catch_up()
    finally:
        for client in clients:
            client.__exit__()


def test_a_flood_of_pipelined_requests_is_cut_off_after_answers_in_order(server: Running) -> None:
    with server.client() as client:
        client.send(get("/slow/0.2") + get("/quick") * 3000)
        assert client.receive().body == b"slow"
        answers = 0
        while (received := client.receive()).status == 200:
            answers += 1
        assert (received.status, received.slug) == (503, "overloaded")
        assert answers == 100
        assert client.is_closed()


def test_a_refused_connection_is_forgotten(server: Running) -> None:
    with server.client() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.receive().status == 400
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            client.send_what_is_taken(b"a")
    server.wait_for(lambda: server.connections() == 0)
