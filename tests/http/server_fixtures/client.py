"""A client that sends bytes as they are and reads answers as they come."""

import contextlib
import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

WAIT_SECONDS = 120.0


@dataclass(frozen=True)
class Received:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = json.loads(self.body)
        return problem

    @property
    def slug(self) -> str:
        return str(self.problem["type"]).removeprefix("/problems/")


class Client:
    """One connection."""

    def __init__(self, port: int, receive_buffer_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(WAIT_SECONDS)
        self.socket.connect(("127.0.0.1", port))
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_what_is_taken(self, data: bytes) -> None:
        """Send until everything is sent or the server wants no more."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def get(self, path: str) -> None:
        self.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def post(self, path: str, body: bytes = b"", *headers: str) -> None:
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: localhost",
            f"Content-Length: {len(body)}",
            *headers,
        ]
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._file.close()
        self.socket.close()

    def receive(self) -> Received:
        status = int(self._line().split(b" ", 2)[1])
        headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        if status == 100:
            return Received(status, headers, b"")
        if "content-length" in headers:
            body = self._file.read(int(headers["content-length"]))
        else:
            body = b"".join(self._chunks())
        return Received(status, headers, body)

    def is_closed(self) -> bool:
        """Wait until the server closes; whatever still comes counts as not closed."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    def read_line(self) -> bytes:
        return self._line()

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError(line)
        return line[:-2]

    def _chunks(self) -> Iterator[bytes]:
        while size_bytes := int(self._line(), 16):
            yield self._file.read(size_bytes)
            self._line()
        self._line()
