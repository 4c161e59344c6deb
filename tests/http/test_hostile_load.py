"""Megabytes that nobody asked for: refused early, at no cost in memory, and while others are served."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.service import Service, running_service

MEBIBYTE = 1024 * 1024
RELEASE_SECONDS = 120.0
MOST_GROWTH_BYTES = 20 * MEBIBYTE


def resident_bytes(service: Service) -> int:
    """Return what the process has in memory."""
    status = Path(f"/proc/{service.process.pid}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    (line,) = [one for one in status.read_text().splitlines() if one.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


@contextmanager
def healthy_traffic(service: Service, user: str) -> Iterator[None]:
    """Go on asking beside the block; every answer has to be a 200, and there have to be some."""
    stop = threading.Event()
    statuses: list[int] = []

    def ask() -> None:
        with service.client() as client:
            while not stop.is_set():
                body = {"userId": user, "userPrompt": "hi"}
                statuses.append(client.post("/v1/chat", json=body).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    while not statuses:
        time.sleep(0.01)
    try:
        yield
    finally:
        stop.set()
        asking.join(120)
    assert set(statuses) == {200}


def trickle(service: Service, head: bytes, pieces: int, piece: bytes) -> bytes:
    """Send a head and many pieces, as far as the server takes them; return what it answered."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(head)
        try:
            for _ in range(pieces):
                connection.sendall(piece)
        except OSError:
            pass  # it has heard enough
        try:
            return connection.recv(65536)
        except ConnectionError:
            return b""


HEAD = b"POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNK = b"10000\r\n" + b" " * 65536 + b"\r\n"
FLOODS = {
    "40 MB with its length": (HEAD + b"Content-Length: 41943040\r\n\r\n", 640, b" " * 65536),
    "100 MB in chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 1600, CHUNK),
    "100 MB of tiny chunks": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        1600,
        b"1\r\n \r\n" * 10_922,
    ),
    "100 KB of one header": (b"GET /v1/models HTTP/1.1\r\nHost: a\r\nX: ", 2, b"x" * 51_200),
    "100 KB of headers": (b"GET /v1/models HTTP/1.1\r\nHost: a\r\n", 6400, b"X-A: aaaaaaaa\r\n"),
    "1 MB of URL": (b"GET /v1/models?", 16, b"x" * 65536),
}
STATUS = {
    "40 MB with its length": {b"413", b"431"},
    "100 MB in chunks": {b"413", b"431"},
    "100 MB of tiny chunks": {b"408", b"413", b"431"},
    "100 KB of one header": {b"431"},
    "100 KB of headers": {b"431"},
    "1 MB of URL": {b"414", b"431"},
}


@pytest.mark.parametrize(
    "path", ["/v1/chat", "/v1/chat/completions", "/v1/responses", "/v1/messages"]
)
def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(
    service: Service, user: str, path: str
) -> None:
    head = HEAD.replace(b"/v1/chat", path.encode()) + b"Content-Length: 41943040\r\n\r\n"
    assert trickle(service, head, 0, b"").split()[1] == b"413"


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", "/v1/history/ana/conversations/c"), ("POST", "/v1/conversations")],
)
def test_bodies_of_other_requests_are_small(
    service: Service, user: str, method: str, path: str
) -> None:
    with service.client() as client:
        body = {"title": "t" * 256 * 1024}
        assert client.request(method, path, json=body).status_code == 413


TINY_CHUNKS = "100 MB of tiny chunks"


@pytest.mark.parametrize(
    "flood",
    [
        # 16 million chunks take longer to parse than a body may take to arrive
        pytest.param(name, marks=pytest.mark.faults) if name == TINY_CHUNKS else name
        for name in FLOODS
    ],
)
def test_a_flood_is_refused_at_no_cost_to_anybody(service: Service, user: str, flood: str) -> None:
    is_refused_at_no_cost(service, user, FLOODS[flood], STATUS[flood])


@pytest.mark.slow
def test_a_flood_of_tiny_chunks_is_refused_at_the_limit(
    settings: dict[str, str], user: str, data_dir: Path
) -> None:
    head, _, piece = FLOODS[TINY_CHUNKS]
    with running_service(data_dir, {**settings, "MAX_BODY_BYTES": str(MEBIBYTE)}) as service:
        is_refused_at_no_cost(service, user, (head, 200, piece), {b"413", b"431"})


def is_refused_at_no_cost(
    service: Service, user: str, flood: tuple[bytes, int, bytes], statuses: set[bytes]
) -> None:
    """Send a head and its pieces three times, while others are served."""
    with healthy_traffic(service, user):
        trickle(service, *flood)
        before = resident_bytes(service)
        answers = [trickle(service, *flood) for _ in range(2)]
        # The answer comes before the memory of its request is released.
        deadline = time.monotonic() + RELEASE_SECONDS
        while (grown := resident_bytes(service) - before) > MOST_GROWTH_BYTES:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
    for answer in answers:
        # Where the client went on sending, the network may have dropped the answer with the connection.
        assert answer == b"" or answer.split(b" ")[1] in statuses, answer
    assert any(answers)
    assert grown <= MOST_GROWTH_BYTES


@pytest.mark.slow
def test_many_hostile_bodies_leave_nothing_behind(service: Service, user: str) -> None:
    bodies = [
        b"[" * 200_000,
        b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
        b'{"userPrompt":"' + b"\\ud800" * 30_000 + b'"}',
        b'{"maxOutputTokens":' + b"9" * 200_000 + b"}",
        b"{" + b",".join(b'"k%d":1' % number for number in range(20_000)) + b"}",
        b"\xff" * 200_000,
        b'{"userId":"' + b"u" * 200_000 + b'","userPrompt":"x"}',
    ]
    with service.client() as client, healthy_traffic(service, user):

        def send() -> set[int]:
            return {post(client, body).status_code for body in bodies}

        send()
        before = resident_bytes(service)
        for _ in range(10):
            assert send() <= {400, 422}
        grown = resident_bytes(service) - before
    assert grown <= MOST_GROWTH_BYTES


def post(client: httpx2.Client, body: bytes) -> httpx2.Response:
    response = client.post("/v1/chat", content=body, headers={"Content-Type": "application/json"})
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) < 4096
    return response
