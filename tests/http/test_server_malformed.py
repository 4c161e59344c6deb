"""What is not HTTP, or could be read in two ways, is a 400 and never reaches the application."""

from collections.abc import Iterator

import pytest

from app.server.options import ServeOptions
from tests.http.server_fixtures.loops import LOOPS
from tests.http.server_fixtures.running import Running, running_server

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /echo/malformed HTTP/1.1\r\nHost: a\r\n"
MALFORMED = {
    "text": b"hello\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "method in lower case": b"get /quick HTTP/1.1\r\nHost: a\r\n\r\n",
    "no version": b"GET /quick\r\n\r\n",
    "HTTP/0.9": b"GET /quick HTTP/0.9\r\nHost: a\r\n\r\n",
    "HTTP/2.0": b"GET /quick HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.0": b"GET /quick HTTP/3.0\r\nHost: a\r\n\r\n",
    "bare line feeds": b"GET /quick HTTP/1.1\nHost: a\n\n",
    "blank in the URL": b"GET /quick a HTTP/1.1\r\nHost: a\r\n\r\n",
    "UTF-8 in the URL": b"GET /quick\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "only a query": b"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n",
    "a URL without a path": b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
    "connect": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "no host": b"GET /quick HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /quick HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "folded header": b"GET /quick HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "blank before the colon": b"GET /quick HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
    "header without a name": b"GET /quick HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n",
    "NUL in a header": b"GET /quick HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "CR in a header": b"GET /quick HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    "TE and CL": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "CL and TE": POST
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "two TE": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE twice chunked": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "TE identity": POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "TE unknown": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE compressed": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE in HTTP/1.0": b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two CL": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list of CL": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "CL with a sign": POST + b"Content-Length: +3\r\n\r\nabc",
    "huge CL": POST + b"Content-Length: 99999999999999999999\r\n\r\nabc",
}
BAD_CHUNKS = {
    "not hexadecimal": b"zz\r\na\r\n",
    "with a prefix": b"0x1\r\na\r\n",
    "negative": b"-1\r\na\r\n",
    "overflow": b"fffffffffffffffff\r\na\r\n",
    "longer than said": b"1\r\nab\r\n0\r\n\r\n",
    "bare line feed": b"1\na\n0\n\n",
    "bad trailer": b"1\r\na\r\n0\r\nX : a\r\n\r\n",
}


@pytest.fixture(scope="module", params=LOOPS)
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    with running_server(request.param, ServeOptions(final_response_seconds=0.1)) as running:
        yield running


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_http_is_a_400_and_nobody_hears_of_it(server: Running, name: str) -> None:
    del server.application.seen[:]
    with server.client() as client:
        client.send(MALFORMED[name])
        received = client.receive()
        assert (received.status, received.slug) == (400, "malformed-request")
        assert received.headers["connection"] == "close"
        assert received.problem["requestId"] == received.headers["x-request-id"]
        assert client.is_closed()
    assert server.application.seen == []


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_bad_chunk_is_one_400_and_the_application_hears_that_the_client_left(
    server: Running, name: str
) -> None:
    del server.application.left[:]
    with server.client() as client:
        client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        client.send(BAD_CHUNKS[name] + SMUGGLED)
        received = client.receive()
        assert (received.status, received.slug) == (400, "malformed-request")
        assert client.is_closed()
    server.wait_for(lambda: "/echo/malformed" in server.application.left)
    assert "/smuggled" not in server.application.seen


def test_nonsense_after_a_request_is_refused_after_its_answer(server: Running) -> None:
    with server.client() as client:
        client.get("/slow/0.2")
        client.get("/quick")
        client.send(b"nonsense\r\n\r\n")
        assert client.receive().body == b"slow"
        assert client.receive().body == b"quick"
        assert client.receive().status == 400
        assert client.is_closed()


def test_a_bad_chunk_behind_an_earlier_request_is_refused_after_its_answer(server: Running) -> None:
    with server.client() as client:
        client.get("/slow/0.2")
        client.send(POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert client.receive().body == b"slow"
        assert client.receive().status == 400
        assert client.is_closed()


def test_an_answer_that_comes_after_a_refusal_is_dropped(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with server.client() as client:
        client.send(
            b"POST /slow/0.2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        )
        assert client.receive().status == 400
        assert client.is_closed()
        server.wait_for(lambda: not server.server.server_state.tasks)
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


def test_a_bad_chunk_after_an_answer_has_begun_breaks_it_off(server: Running) -> None:
    with server.client() as client:
        client.send(b"POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.read_line() == b"HTTP/1.1 200 OK"
        client.send(b"zz\r\n")
        with pytest.raises(EOFError):
            while client.read_line() != b"0":
                pass


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_a_wish_for_another_protocol_is_ignored_with_body_and_all(
    server: Running, protocol: str
) -> None:
    del server.application.seen[:]
    wish = f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMA\r\n"
    length = f"Content-Length: {len(SMUGGLED)}\r\n\r\n"
    with server.client() as client:
        client.send(POST + (wish + length).encode() + SMUGGLED)
        assert client.receive().body == str(len(SMUGGLED)).encode()
        client.send(POST + (wish + length).encode())
        client.send(SMUGGLED + b"GET /quick HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.receive().body == str(len(SMUGGLED)).encode()
        assert client.receive().body == b"quick"
    assert server.application.seen == ["/echo/malformed", "/echo/malformed", "/quick"]


def test_closing_is_still_wished_for_beside_another_protocol(server: Running) -> None:
    with server.client() as client:
        client.send(
            b"GET /headers HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n"
            + SMUGGLED
        )
        received = client.receive()
        assert received.body == b'["host", "connection"]'
        assert client.is_closed()


def test_http_1_0_is_answered_and_closed(server: Running) -> None:
    with server.client() as client:
        client.send(b"GET /quick HTTP/1.0\r\n\r\n")
        assert client.receive().body == b"quick"
        assert client.is_closed()


def test_an_absolute_url_is_a_path(server: Running) -> None:
    with server.client() as client:
        client.send(b"GET http://a/quick HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.receive().body == b"quick"


def test_what_follows_the_last_request_does_not_spoil_its_answer(server: Running) -> None:
    with server.client() as client:
        client.send(b"GET /quick HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + SMUGGLED)
        assert client.receive().body == b"quick"
        assert client.is_closed()
    assert "/smuggled" not in server.application.seen
