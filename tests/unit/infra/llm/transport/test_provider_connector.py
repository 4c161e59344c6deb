"""What the connections to providers leave out of aiohttp's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from infra.llm.transport.provider_connector import ProviderConnector
from tests.fakes.behaviour import Raw
from tests.fakes.openai import FakeOpenAI
from tests.fakes.raw_server import raw_server

BODY = [b"%d\n" % number for number in range(30)]


async def received(connector: aiohttp.TCPConnector, body: list[bytes], **options: int) -> bytes:
    """Return a body of these chunks, taken in pieces of any size."""
    return b"".join(await pieces(connector, body, **options))


async def pieces(connector: aiohttp.TCPConnector, body: list[bytes], **options: int) -> list[bytes]:
    """Return the pieces in which a body of these chunks is read."""
    async with FakeOpenAI(Raw(list(body))) as provider:
        headers = {"Authorization": "Bearer test-key"}
        question = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        async with (
            aiohttp.ClientSession(connector=connector, **options) as session,
            session.post(
                f"{provider.base_url}/chat/completions", json=question, headers=headers
            ) as response,
        ):
            assert response.status == 200
            return [piece async for piece in response.content.iter_any()]


@pytest.fixture
def empty_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return one item for each time that a parser looks for more without new data."""
    found: list[int] = []
    feed = ResponseHandler.data_received

    def counted(self: ResponseHandler, data: bytes) -> None:
        if not data:
            found.append(1)
        feed(self, data)

    monkeypatch.setattr(ResponseHandler, "data_received", counted)
    return found


async def test_a_parser_that_was_not_paused_does_not_look_for_more(empty_reads: list[int]) -> None:
    assert await received(ProviderConnector(), BODY) == b"".join(BODY)
    assert empty_reads == []


async def test_aiohttp_still_needs_the_connector(empty_reads: list[int]) -> None:
    """If this fails, aiohttp does the same itself, and `ProviderConnector` can be a `TCPConnector` again."""
    assert await received(aiohttp.TCPConnector(), BODY) == b"".join(BODY)
    assert empty_reads


async def test_the_connector_was_measured_with_the_installed_version() -> None:
    """If this fails, measure again with `make bench`, and add the version or remove the connector."""
    async with ProviderConnector() as connector:
        assert connector._factory.func is not ResponseHandler


async def test_with_another_version_the_connections_are_those_of_aiohttp(
    empty_reads: list[int],
) -> None:
    connector = ProviderConnector(aiohttp_version="3.99.0")
    assert await received(connector, BODY) == b"".join(BODY)
    assert empty_reads


async def test_a_parser_that_was_paused_goes_on(empty_reads: list[int]) -> None:
    """The body is far larger than the buffer, so reading pauses over and over."""
    body = [bytes([number]) * 5000 for number in range(100)]
    async with asyncio.timeout(120):
        assert await received(ProviderConnector(), body, read_bufsize=1024) == b"".join(body)
    assert empty_reads


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the pieces that readers took from the buffer of a body, each by itself."""
    found: list[bytes] = []
    take = aiohttp.StreamReader._read_nowait_chunk

    def counted(self: aiohttp.StreamReader, size: int) -> bytes:
        found.append(piece := take(self, size))
        return piece

    monkeypatch.setattr(aiohttp.StreamReader, "_read_nowait_chunk", counted)
    return found


@asynccontextmanager
async def answer_in_one_packet(
    connector: aiohttp.TCPConnector,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Ask a server that sends all chunks of the body at once."""
    chunks = b"".join([b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in BODY])
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with (
        raw_server(head + chunks + b"0\r\n\r\n") as address,
        aiohttp.ClientSession(connector=connector) as session,
        session.get(address) as response,
    ):
        yield response


async def test_chunks_that_arrive_together_are_taken_together(taken: list[bytes]) -> None:
    async with answer_in_one_packet(ProviderConnector()) as response:
        assert await response.content.readany() == b"".join(BODY)
        assert await response.content.readany() == b""
    assert taken == [b"".join(BODY)]


async def test_aiohttp_still_takes_each_chunk_by_itself(taken: list[bytes]) -> None:
    """If this fails, aiohttp does the same itself, and `ProviderConnector` need not."""
    async with answer_in_one_packet(aiohttp.TCPConnector()) as response:
        assert await response.content.readany() == b"".join(BODY)
    assert taken == BODY
