"""Clients that ask and leave before they have their answer, each in a way of its own."""

import asyncio
import re
import socket
import struct
import time
from dataclasses import dataclass

import orjson

from infra.selftest.exchange import Exchange

WAYS = ("reset", "close", "half")
"""Break the connection off, close it, or close one's own half and see what still comes."""

_PATIENCE_SECONDS = 30.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_WHOLE_ANSWER = re.compile(rb"HTTP/1.1 200.*?All is well.", re.DOTALL)
_WORD = re.compile(rb"w\d{5} ")
WORD_LENGTH = 7


@dataclass(frozen=True, slots=True)
class Drip:
    """A provider that says a word every so often, for ever; `said` counts them by question."""

    every_seconds: float
    said: dict[str, int]

    async def __call__(self, exchange: Exchange) -> None:
        question = question_in(exchange)
        await exchange.begin()
        self.said[question] = 0
        while True:
            self.said[question] += 1
            await exchange.text(f"w{self.said[question]:05d} ")
            if await exchange.hangs_up_within(self.every_seconds):
                return


def question_in(exchange: Exchange) -> str:
    """The text of the only message of a request, in either format."""
    body = exchange.body
    if "contents" in body:
        return str(body["contents"][0]["parts"][0]["text"])
    return str(body["messages"][0]["content"])


def request(path: str, body: object, headers: str = "") -> bytes:
    """Return the bytes of a whole request."""
    document = orjson.dumps(body)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"{headers}Content-Length: {len(document)}\r\n\r\n"
    )
    return head.encode() + document


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortedRequest:
    """A request whose client disconnected.

    Attributes:
        at_seconds: Monotonic time.
        words: How many it had read by then; one that closed its own half only: all there were for it.
        is_all: There were no more for it.
    """

    at_seconds: float
    words: int
    is_all: bool


class AbortingClient:
    """A client that closes its connection before the answer is complete."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._received = b""

    @classmethod
    async def with_request(
        cls, port: int, path: str, body: object, headers: str = ""
    ) -> "AbortingClient":
        """Connect and send a whole request."""
        client = await cls.connected(port)
        await client.send(request(path, body, headers))
        return client

    @classmethod
    async def connected(cls, port: int) -> "AbortingClient":
        """Connect, and send nothing yet."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, payload: bytes) -> None:
        self._writer.write(payload)
        await self._writer.drain()

    async def read_words(self, count: int) -> None:
        """Read until so many words have come."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while self._words() < count:
                await self._read()

    async def read_answers(self, count: int) -> bytes:
        """Read until so many whole answers to plain calls have come; return all that did."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while len(_WHOLE_ANSWER.findall(self._received)) < count:
                await self._read()
        return self._received

    async def leave(self, way: str) -> AbortedRequest:
        """Disconnect, in one of `WAYS`."""
        at_seconds = time.monotonic()
        if way == "half":
            self._writer.write_eof()
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not self._reader.at_eof():
                    await self._read()
        if way == "reset":
            raw: socket.socket = self._writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._writer.close()
        return AbortedRequest(at_seconds=at_seconds, words=self._words(), is_all=way == "half")

    async def _read(self) -> None:
        received = await self._reader.read(65536)
        assert received or self._reader.at_eof()
        self._received += received

    def _words(self) -> int:
        return len(_WORD.findall(self._received))
