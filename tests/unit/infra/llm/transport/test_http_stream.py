"""What happens on the wire: what is sent, what is refused, when the connection ends."""

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import (
    CALL_PROGRESS,
    AnswerEvent,
    FinishReason,
    ProviderSelected,
    ReasoningDelta,
    Reply,
    Usage,
)
from domain.entities.tools import Tool
from domain.exceptions import LLMError, LLMMisconfigured, LLMRateLimited, LLMTimeout, LLMUnavailable
from domain.interfaces.llm_client import LLMClient
from infra.clock import SystemClock
from infra.llm.providers.gemini.client import GeminiClient
from infra.llm.providers.openai.client import OpenAICompatibleClient
from infra.llm.resilience.deadline import Deadline
from infra.llm.transport import http_stream
from infra.llm.transport.http_stream import provider_session
from tests.fakes import openai
from tests.fakes.behaviour import Behaviour, Cut, Hangs, Raw, Refuses, Says
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.gemini import FakeGemini
from tests.fakes.openai import FakeOpenAI
from tests.fakes.raw_server import raw_server

PROMPT = Prompt.from_text("Hi")
STOPPED = openai.event(openai.chunk({}, "stop"))


def text_event(text: str) -> bytes:
    return openai.event(openai.chunk({"content": text}))


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with provider_session(2.0) as session:
        yield session


@pytest.fixture
async def provider() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as provider:
        yield provider


@pytest.fixture
def is_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make what is waited for out of politeness short."""
    for name in ("_REFUSAL_SECONDS", "_TRAILING_SECONDS", "_LAST_BYTES_SECONDS"):
        monkeypatch.setattr(http_stream, name, 0.05)


Asks = Callable[..., OpenAICompatibleClient]


@pytest.fixture
def client_of(session: aiohttp.ClientSession, provider: FakeOpenAI) -> Asks:
    def make(**options: Any) -> OpenAICompatibleClient:
        settings: dict[str, Any] = {
            "provider": "openrouter",
            "model": "a-model",
            "upstream": "openai/x",
            "base_url": provider.base_url,
            "api_key": "test-key",
            "max_answer_bytes": 1024,
            "cost": lambda usage: usage,
        }
        return OpenAICompatibleClient(session, **(settings | options))

    return make


async def events_of(
    client: LLMClient, prompt: Prompt = PROMPT
) -> list[ProviderSelected | str | Reply]:
    async with asyncio.timeout(120):
        return [piece async for piece in client.stream(prompt, a_chat_context())]


async def failure_of(client: LLMClient) -> LLMUnavailable:
    with pytest.raises(LLMUnavailable) as raised:
        await events_of(client)
    return raised.value


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_gemini_is_asked_at_its_address_with_the_key_in_a_header(
    session: aiohttp.ClientSession,
) -> None:
    async with FakeGemini() as provider:
        client = GeminiClient(
            session,
            provider="gemini",
            model="a-model",
            upstream="gemini-3.8-flash",
            base_url=provider.base_url + "/",
            api_key="test-key",
            max_answer_bytes=1024,
            cost=lambda usage: usage,
        )
        assert (await events_of(client))[0] == ProviderSelected(provider="gemini", model="a-model")
        (seen,) = provider.seen
    assert seen.path == "/v1beta/models/gemini-3.8-flash:streamGenerateContent"
    assert seen.query == {"alt": "sse"}
    assert seen.headers["x-goog-api-key"] == "test-key"
    assert "Authorization" not in seen.headers
    assert seen.headers["Accept-Encoding"] == "identity"


async def test_a_model_name_cannot_leave_its_place_in_the_path(
    session: aiohttp.ClientSession,
) -> None:
    async with FakeGemini() as provider:
        client = GeminiClient(
            session,
            provider="gemini",
            model="a-model",
            upstream="a?key=1#b c%2F",
            base_url=provider.base_url,
            api_key="test-key",
            max_answer_bytes=1024,
            cost=lambda usage: usage,
        )
        await events_of(client)
        (seen,) = provider.seen
    assert seen.path == "/v1beta/models/a?key=1#b c%2F:streamGenerateContent"
    assert seen.query == {"alt": "sse"}


async def test_a_chat_completions_server_is_asked_with_a_bearer_token(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    first, *_ = await events_of(client_of(base_url=provider.base_url + "/"))
    assert first == ProviderSelected(provider="openrouter", model="a-model")
    (seen,) = provider.seen
    assert seen.path == "/api/v1/chat/completions"
    assert seen.headers["Authorization"] == "Bearer test-key"
    assert seen.headers["Content-Type"] == "application/json"
    assert seen.body["model"] == "openai/x"


async def test_without_a_key_no_authorization_is_sent(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    provider.api_key = None
    await events_of(client_of(api_key=None))
    assert "Authorization" not in provider.seen[0].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_not_followed(
    client_of: Asks, provider: FakeOpenAI, status: int
) -> None:
    headers = {"Location": f"{provider.base_url}/chat/completions"}
    provider.then(Raw([b"{}"], status=status, headers=headers, whole=True))
    assert (await failure_of(client_of())).http_status == status
    assert len(provider.seen) == 1


async def test_no_proxy_is_taken_from_the_environment(
    client_of: Asks, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert isinstance((await events_of(client_of()))[-1], Reply)


async def test_no_cookie_is_kept(client_of: Asks, provider: FakeOpenAI) -> None:
    provider.then(Raw([text_event("a"), openai.DONE], headers={"Set-Cookie": "a=b"}))
    await events_of(client_of())
    await events_of(client_of())
    assert "Cookie" not in provider.seen[1].headers


def raw_deflate(body: bytes) -> bytes:
    squeezed = zlib.compressobj(wbits=-15)
    return squeezed.compress(body) + squeezed.flush()


WHOLE = text_event("olá ") + text_event("世界") + STOPPED
COMPRESSED = {
    "gzip": gzip.compress(WHOLE),
    "GZip": gzip.compress(WHOLE),
    "x-gzip": gzip.compress(WHOLE[:40]) + gzip.compress(WHOLE[40:]) + bytes(9),
    "deflate": zlib.compress(WHOLE),
    "identity, deflate": raw_deflate(WHOLE),
}


@pytest.mark.seen("A15")
@pytest.mark.parametrize("coding", COMPRESSED)
@pytest.mark.parametrize("is_whole", [True, False])
async def test_a_compressed_answer_is_read_although_none_was_asked_for(
    client_of: Asks, provider: FakeOpenAI, coding: str, is_whole: bool
) -> None:
    body = COMPRESSED[coding]
    steps = [body] if is_whole else [bytes([byte]) for byte in body]
    provider.then(Raw(steps, headers={"Content-Encoding": coding}, whole=is_whole))
    pieces = await events_of(client_of())
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == "olá 世界"
    assert provider.seen[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.seen("A15")
async def test_each_compressed_event_is_handed_on_before_the_next_comes(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    squeezed = zlib.compressobj(wbits=31)
    first, rest = (
        squeezed.compress(part) + squeezed.flush(zlib.Z_SYNC_FLUSH)
        for part in (text_event("a"), text_event("b") + STOPPED + openai.DONE)
    )
    gate = asyncio.Event()
    provider.then(Raw([first, gate, rest], headers={"Content-Encoding": "gzip"}))
    texts = []
    async for piece in client_of().stream(PROMPT, a_chat_context()):
        if isinstance(piece, str):
            gate.set()
            texts.append(piece)
    assert texts == ["a", "b"]


@pytest.mark.seen("A15")
@pytest.mark.parametrize("size_bytes", [65_535, 65_536, 65_537, 200_000])
async def test_no_byte_is_lost_where_what_comes_swells(
    client_of: Asks, provider: FakeOpenAI, size_bytes: int
) -> None:
    text = "x" * (size_bytes - len(text_event("")))
    body = gzip.compress(text_event(text) + STOPPED + openai.DONE)
    provider.then(Raw([body], headers={"Content-Encoding": "gzip"}, whole=True))
    pieces = await events_of(client_of(max_answer_bytes=1024 * 1024))
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == text


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_what_swells_without_end_is_cut_where_an_answer_is(
    client_of: Asks, provider: FakeOpenAI, coding: str
) -> None:
    body = text_event("a" * 100) * 100_000
    compressed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    provider.then(Raw([compressed], headers={"Content-Encoding": coding}, whole=True))
    pieces = await events_of(client_of())
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == "a" * 1024
    assert pieces[-1] == Reply(finish_reason=FinishReason.LENGTH, was_cut_at_limit=True)


@pytest.mark.realtime
async def test_a_bomb_without_an_event_lets_the_deadline_end_it(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    squeezed = zlib.compressobj(wbits=31)
    blank = b"\n" * (1024 * 1024)
    head, again = (squeezed.compress(blank) + squeezed.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    body = head + 4096 * again
    provider.then(Raw([body], headers={"Content-Encoding": "gzip"}, whole=True))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            async for _ in client_of().stream(PROMPT, a_chat_context()):
                pass


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("br", b"\x00"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("gzip, gzip", gzip.compress(gzip.compress(WHOLE))),
        ("gzip", WHOLE),
        ("deflate", b"\x78\x9c\xff\xff"),
    ],
)
async def test_an_answer_in_a_coding_that_is_not_known_or_not_kept_is_a_failure(
    client_of: Asks, provider: FakeOpenAI, coding: str, body: bytes
) -> None:
    provider.then(Raw([body], headers={"Content-Encoding": coding}, whole=True))
    assert not (await failure_of(client_of())).connection_broke


@pytest.mark.seen("A15")
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_compressed_refusal_is_understood(
    client_of: Asks, provider: FakeOpenAI, coding: str
) -> None:
    body = b'{"error":{"code":"invalid_api_key"}}' + b" " * 1_000_000
    compressed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    headers = {"Content-Encoding": coding}
    provider.then(Raw([compressed], status=400, headers=headers, whole=True))
    with pytest.raises(LLMMisconfigured):
        await events_of(client_of())


async def test_a_refusal_compressed_in_an_unknown_way_is_known_by_its_status(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    headers = {"Content-Encoding": "br", "Retry-After": "3"}
    provider.then(Raw([b"\x00"], status=429, headers=headers, whole=True))
    with pytest.raises(LLMRateLimited):
        await events_of(client_of())


async def test_nobody_listening_is_a_broken_connection(client_of: Asks) -> None:
    error = await failure_of(client_of(base_url="http://127.0.0.1:1/v1"))
    assert error.connection_broke
    assert error.http_status is None


@pytest.mark.seen("D9")
async def test_whether_a_prompt_was_sent_is_told_of_every_call(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    context, nobody = a_chat_context(), client_of(base_url="http://127.0.0.1:1/v1")
    with pytest.raises(LLMUnavailable):
        assert [piece async for piece in nobody.stream(PROMPT, context)]
    assert not context.is_sent
    provider.then(Refuses(503))
    with pytest.raises(LLMUnavailable):
        assert [piece async for piece in client_of().stream(PROMPT, context)]
    assert context.is_sent
    with pytest.raises(LLMUnavailable):
        assert [piece async for piece in nobody.stream(PROMPT, context)]
    assert context.is_sent


async def test_connecting_takes_no_longer_than_allowed(client_of: Asks) -> None:
    # A backlog of none that is full: the kernel neither accepts nor refuses.
    async with full_listener() as port, provider_session(0.1) as hurried:
        client = OpenAICompatibleClient(
            hurried,
            provider="openrouter",
            model="a-model",
            upstream="x",
            base_url=f"http://127.0.0.1:{port}",
            api_key=None,
            max_answer_bytes=1024,
            cost=lambda usage: usage,
        )
        with pytest.raises(LLMTimeout):
            await events_of(client)


@asynccontextmanager
async def full_listener() -> AsyncIterator[int]:
    sockets = [socket.socket() for _ in range(8)]
    listener = sockets[0]
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for other in sockets[1:]:
        other.setblocking(False)
        other.connect_ex(listener.getsockname())
    try:
        yield listener.getsockname()[1]
    finally:
        for each in sockets:
            each.close()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 5000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    ],
    ids=["length", "chunks", "until close", "in the head", "before the head"],
)
async def test_a_body_that_is_cut_is_a_broken_connection(client_of: Asks, head: bytes) -> None:
    event = text_event("a")
    body = b"%x\r\n%s\r\n" % (len(event), event) if b"chunked" in head else event
    async with raw_server(head + (body if head.endswith(b"\r\n\r\n") else b"")) as base_url:
        error = await failure_of(client_of(base_url=base_url))
    assert error.connection_broke
    assert error.http_status == (200 if head.endswith(b"\r\n\r\n") else None)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
async def test_what_is_no_http_or_no_answer_is_a_failure(client_of: Asks, answer: bytes) -> None:
    async with raw_server(answer) as base_url:
        await failure_of(client_of(base_url=base_url))


async def test_a_refusal_is_understood_from_the_start_of_its_body(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    flood = [b'{"error":{"code":429}}'] + [b" " * 65_536] * 256
    provider.then(Raw(flood, status=429, headers={"Retry-After": "3"}))
    with pytest.raises(LLMRateLimited) as raised:
        await events_of(client_of())
    assert raised.value.retry_after_seconds == 3.0
    await until(lambda: bool(provider.left))  # the rest of it was not wanted


@pytest.mark.parametrize(
    "steps",
    [[b"<html>"], [b"\xff\xfe"], [b'{"error":', Cut()], []],
    ids=["html", "binary", "cut", "none"],
)
async def test_a_refusal_whose_body_says_nothing_is_known_by_its_status(
    client_of: Asks, provider: FakeOpenAI, steps: list[Any]
) -> None:
    provider.then(Raw(steps, status=401))
    with pytest.raises(LLMMisconfigured):
        await events_of(client_of())


@pytest.mark.usefixtures("is_hurried")
async def test_a_refusal_is_not_waited_for_to_its_end(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    provider.then(Raw([b'{"error":', asyncio.Event()], status=503))
    assert (await failure_of(client_of())).http_status == 503
    await until(lambda: bool(provider.left))


@pytest.mark.parametrize(
    "behaviour",
    [
        Says(["a"]),
        Says([]),
        Refuses(400),
        Refuses(503),
        Raw([text_event("a"), openai.DONE, b": bye\n\n"]),
    ],
    ids=["answer", "empty", "400", "503", "more after the end"],
)
async def test_a_connection_whose_answer_came_to_its_end_is_used_again(
    client_of: Asks, provider: FakeOpenAI, behaviour: Behaviour
) -> None:
    provider.then(behaviour)
    client = client_of()
    with suppress(LLMError):
        await events_of(client)
    await asyncio.sleep(
        0.05
    )  # the body's last bytes may come after the answer; shorter only tests less
    await events_of(client)
    assert len(provider.peers) == 1


@pytest.mark.realtime
async def test_nobody_waits_for_the_last_bytes_after_done_yet_the_connection_is_used_again(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    gate = asyncio.Event()
    provider.then(Raw([text_event("a"), STOPPED, openai.DONE, gate, b": bye\n\n"]))
    client = client_of()
    *_, reply = await events_of(client)
    assert isinstance(reply, Reply)
    gate.set()
    await until(lambda: provider.answered == 1)
    await asyncio.sleep(0.05)  # for those bytes to arrive
    await events_of(client)
    assert len(provider.peers) == 1


@pytest.mark.usefixtures("is_hurried")
async def test_done_ends_an_answer_although_the_provider_keeps_the_line(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    provider.then(Raw([text_event("a"), STOPPED, openai.DONE, asyncio.Event()]))
    async with asyncio.timeout(1):
        *_, reply = await events_of(client_of())
    assert isinstance(reply, Reply)
    await until(lambda: bool(provider.left))


@pytest.mark.usefixtures("is_hurried")
async def test_a_reason_ends_an_answer_soon_although_the_provider_keeps_the_line(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    provider.then(Raw([text_event("a"), STOPPED, asyncio.Event()]))
    *_, reply = await events_of(client_of())
    assert isinstance(reply, Reply)
    await until(lambda: bool(provider.left))


async def test_counts_that_come_after_the_reason_are_waited_for(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    counts = openai.event({"choices": [], "usage": {"total_tokens": 7}})
    gate = asyncio.Event()
    provider.then(Raw([text_event("a"), STOPPED, gate, counts]))
    async with aclosing(client_of().stream(PROMPT, a_chat_context())) as pieces:
        assert [await anext(pieces), await anext(pieces)][1] == "a"
        reply = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0)
        gate.set()
        assert (await reply).usage.total_tokens == 7  # type: ignore[union-attr]


@pytest.mark.seen("A8")
async def test_text_after_an_early_reason_is_read(client_of: Asks, provider: FakeOpenAI) -> None:
    more = [text_event("b"), openai.event({"choices": [], "usage": {"total_tokens": 7}})]
    provider.then(Raw([text_event("a"), STOPPED, *more]))
    pieces = await events_of(client_of())
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == "ab"
    assert pieces[-1] == Reply(finish_reason=FinishReason.STOP, usage=Usage(total_tokens=7))


@pytest.mark.seen("A8")
@pytest.mark.usefixtures("is_hurried")
async def test_comments_after_the_reason_do_not_keep_an_answer_open(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    provider.then(Raw([text_event("a"), STOPPED, *[b": ping\n\n"] * 10, asyncio.Event()]))
    *_, reply = await events_of(client_of())
    assert isinstance(reply, Reply)


@pytest.mark.seen("A8")
async def test_a_reason_and_an_open_line_end_before_the_silence_would_be_a_failure(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    provider.then(Raw([text_event("a"), STOPPED, asyncio.Event()]))
    client = Deadline(
        client_of(idle_seconds=0.3),
        clock=SystemClock(),
        first_token_seconds=5.0,
        first_token_share=1.0,
        min_attempt_seconds=0.1,
        idle_seconds=0.3,
    )
    *_, reply = await events_of(client)
    assert isinstance(reply, Reply)


@pytest.mark.seen("A9")
@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ({"reasoning_content": "hm"}, ReasoningDelta("hm")),
        ({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "x"}}]}, CALL_PROGRESS),
    ],
)
async def test_reasoning_and_a_part_of_a_call_show_that_the_model_is_at_work(
    client_of: Asks, provider: FakeOpenAI, delta: dict[str, Any], expected: AnswerEvent
) -> None:
    gate = asyncio.Event()
    first = openai.event(openai.chunk(delta))
    provider.then(Raw([b": ping\n\n", first, gate, text_event("a"), STOPPED, openai.DONE]))
    prompt = replace(PROMPT, tools=(Tool(name="x"),))
    pieces: list[AnswerEvent] = []
    async with asyncio.timeout(120):
        async for piece in client_of().stream(prompt, a_chat_context()):
            pieces.append(piece)
            if piece == expected:
                gate.set()
    assert pieces[1] == expected
    assert "a" in pieces


async def test_a_line_that_breaks_after_the_reason_spoils_nothing(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    provider.then(Raw([text_event("a"), STOPPED, Cut()]))
    *_, reply = await events_of(client_of())
    assert isinstance(reply, Reply)


async def test_an_answer_too_long_is_cut_and_the_provider_hung_up_on_before_we_go_on(
    client_of: Asks, provider: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_stream, "_LAST_BYTES_SECONDS", 60.0)
    provider.then(Raw([text_event("a" * 1000), text_event("b" * 1000), asyncio.Event()]))
    async with aclosing(client_of().stream(PROMPT, a_chat_context())) as pieces:
        received = [piece async for piece in until_reply(pieces)]
        await until(lambda: bool(provider.left))
    assert "".join(p for p in received if isinstance(p, str)) == "a" * 1000 + "b" * 24
    assert received[-1] == Reply(finish_reason=FinishReason.LENGTH, was_cut_at_limit=True)


async def until_reply(
    pieces: AsyncIterator[ProviderSelected | str | Reply],
) -> AsyncIterator[ProviderSelected | str | Reply]:
    async for piece in pieces:
        yield piece
        if isinstance(piece, Reply):
            return


async def test_a_flood_that_is_no_answer_is_hung_up_on(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    provider.then(Raw([b'{"choices":[{"message":{"content":"'] + [b"x" * 65_536] * 800))
    await failure_of(client_of())
    await until(lambda: bool(provider.left))


async def test_one_byte_at_a_time_is_the_same_answer(client_of: Asks, provider: FakeOpenAI) -> None:
    body = text_event("olá ") + text_event("世界") + STOPPED + openai.DONE
    provider.then(Raw([bytes([byte]) for byte in body]))
    pieces = await events_of(client_of())
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == "olá 世界"


async def test_each_word_is_handed_on_before_the_next_comes(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    provider.then(Raw([text_event("a"), gates[0], text_event("b"), gates[1], STOPPED, openai.DONE]))
    texts = []
    async for piece in client_of().stream(PROMPT, a_chat_context()):
        if isinstance(piece, str):
            gates[len(texts)].set()
            texts.append(piece)
    assert texts == ["a", "b"]


@pytest.mark.parametrize(
    "raw",
    [
        openai.whole(openai.completion("text")),
        Raw([b'{"choices":[{"message":{"content":"te', b'xt"},"finish_reason":"stop"}]}\n']),
    ],
)
async def test_a_server_that_ignores_streaming_is_understood(
    client_of: Asks, provider: FakeOpenAI, raw: Raw
) -> None:
    provider.then(raw)
    _, text, reply = await events_of(client_of())
    assert text == "text"
    assert isinstance(reply, Reply)


async def test_a_partial_answer_that_was_whole_may_be_gone_on_from(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    provider.then(Says([]))
    prompt = Prompt(
        messages=(Message(role=Role.USER, text="2+2?"), Message(role=Role.ASSISTANT, text="4"))
    )
    _, reply = await events_of(client_of(), prompt)
    assert isinstance(reply, Reply)
    assert provider.seen[0].body["messages"][-1] == {"role": "assistant", "content": "4"}


async def test_leaving_in_mid_answer_hangs_up_at_once(
    client_of: Asks, provider: FakeOpenAI
) -> None:
    provider.then(Hangs(["a"]))
    pieces = client_of().stream(PROMPT, a_chat_context())
    assert [await anext(pieces), await anext(pieces)][1] == "a"
    await pieces.aclose()
    async with asyncio.timeout(1):
        await until(lambda: bool(provider.left))
