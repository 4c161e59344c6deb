"""Clients that send a byte now and then, at full length: 500 with headers, 200 with bodies."""

import selectors
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.support.service import Service, running_service

# The time until a connection is closed has an upper bound.
pytestmark = pytest.mark.realtime

HEADS = 500
BODIES = 200
BYTE_EVERY_SECONDS = 2.0
HEAD_CLOSED_SECONDS = 12.0
BODY_CLOSED_SECONDS = 32.0
HEAD = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = (
    b"POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n"
)


def seconds_until_closed(service: Service, count: int, head: bytes, give_up: float) -> list[float]:
    """Open so many connections, send one byte on each now and then, and return how long each stayed open."""
    selector = selectors.DefaultSelector()
    opened: dict[socket.socket, float] = {}
    closed: list[float] = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", service.port), timeout=30)
        connection.sendall(head)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
        opened[connection] = time.monotonic()
    next_byte = time.monotonic() + BYTE_EVERY_SECONDS
    while opened and time.monotonic() - min(opened.values()) < give_up:
        for key, _ in selector.select(0.2):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            try:
                is_over = not connection.recv(65536)
            except OSError:
                is_over = True
            if is_over:
                closed.append(time.monotonic() - opened.pop(connection))
                selector.unregister(connection)
                connection.close()
        if time.monotonic() >= next_byte:
            next_byte += BYTE_EVERY_SECONDS
            for connection in opened:
                try:
                    connection.send(b"a")
                except OSError:
                    continue  # its end will be read above
    for connection in opened:
        connection.close()
    return closed


@pytest.mark.faults
@pytest.mark.parametrize(
    ("count", "head", "bound_seconds"),
    [(HEADS, HEAD, HEAD_CLOSED_SECONDS), (BODIES, BODY, BODY_CLOSED_SECONDS)],
)
def test_slow_clients_are_closed_while_others_are_served(
    tmp_path: Path, count: int, head: bytes, bound_seconds: float
) -> None:
    statuses: list[int] = []
    stop = threading.Event()
    with running_service(tmp_path / "data") as service:

        def ask() -> None:
            with service.client() as client:
                while not stop.is_set():
                    body = {"userId": "ana", "userPrompt": "hi"}
                    statuses.append(client.post("/v1/chat", json=body).status_code)
                    time.sleep(0.05)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            closed = seconds_until_closed(service, count, head, bound_seconds + 20)
        finally:
            stop.set()
            asking.join(30)
    assert len(closed) == count
    assert max(closed) <= bound_seconds
    assert set(statuses) == {200}
    assert len(statuses) > 50
