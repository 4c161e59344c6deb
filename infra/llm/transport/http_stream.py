"""One streamed answer over HTTP: asked for, read, and hung up on."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import aiohttp
import orjson
from yarl import URL

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.reply import PROGRESS, AnswerEvent, ProviderSelected, Usage
from infra.llm.transport.adaptable_request import AdaptableRequest
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from infra.llm.transport.errors.body import WireError
from infra.llm.transport.errors.mapping import TranslateErrors, refusal
from infra.llm.transport.inflated_body import Body, body_of
from infra.llm.transport.json_document import parse
from infra.llm.transport.response_parser import AnswerReader
from infra.llm.transport.stream_decoder import ReceivedAnswer

# What one answer may hold while its reader is slow. A model's words come at a fraction of what these let through.
_READ_BUFFER_BYTES = 8 * 1024
_RECEIVE_BUFFER_BYTES = 32 * 1024
_REFUSAL_BYTES = 64 * 1024
_REFUSAL_SECONDS = 2.0
# Without an event after the reason for stopping. Servers that give it early were seen to pause for three seconds.
_AFTERMATH_SECONDS = 10.0
# Of the longest silence allowed, which would make a failure of an answer that is whole.
_AFTERMATH_SHARE = 2 / 3
_LAST_BYTES_SECONDS = 1.0


def provider_session(
    connect_seconds: float, *, following: Sequence[aiohttp.TraceConfig] = ()
) -> aiohttp.ClientSession:
    """Return the session all providers share; whoever asked for it closes it. Needs a running loop.

    It bounds connecting only: silence and the whole belong to `Deadline`, how many at once to the limit on chats.
    It keeps no cookies, and takes neither proxy nor password from the environment.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0, keepalive_timeout=60, socket_factory=_provider_socket
        ),
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,  # what comes compressed all the same is inflated where it is counted
        read_bufsize=_READ_BUFFER_BYTES,
        trace_configs=list(following),
    )


def _provider_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Return a socket for which the kernel holds little, since all that it holds is read at once and then held here."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    return made


class Endpoint:
    """One model at one provider.

    Args:
        session: As `provider_session` makes it.
        provider: Its name in the catalogue.
        model: The model's id in the catalogue.
        url: Where to post. Redirects from there are not followed.
        headers: What authorises us.
        max_answer_bytes: A longer answer is cut there, in UTF-8, and the provider hung up on.
        cost: Adds the price to what was used.
        idle_seconds: How long silence within an answer may last before the call counts as failed.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        provider: str,
        model: str,
        url: str,
        headers: Mapping[str, str],
        max_answer_bytes: int,
        cost: Callable[[Usage], Usage],
        idle_seconds: float,
    ) -> None:
        self._session = session
        self._provider = provider
        self._answering = ProviderSelected(provider=provider, model=model)
        self._url = URL(url, encoded=True)
        self._headers = {
            **headers,
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
        }
        self._max_answer_bytes = max_answer_bytes
        self._cost = cost
        self._most_aftermath_seconds = _AFTERMATH_SHARE * idle_seconds

    async def ask(
        self,
        request: AdaptableRequest,
        new_reader: Callable[[], AnswerReader],
        context: ChatRequestContext,
        *,
        may_be_empty: bool,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Post `request` and yield what `LLMClient.stream` promises; closing it hangs up at once.

        Where the provider says that it does not know a part of the request, it is asked again without, here, so that
        nothing outside takes it for a failure.

        Args:
            request: What to ask.
            new_reader: Makes the reader of an answer.
            context: Takes note of whether the prompt went out, and of where to find what the provider reported as used.
            may_be_empty: The model was asked to go on from a text that may have been whole already.
        """
        yield self._answering
        while True:
            reader = new_reader()
            context.reported_usage = partial(self._used, reader)
            response = await self._post(request.body, context)
            try:
                with TranslateErrors(self._provider, response.status):
                    if response.status != 200:
                        document = await _refusal_body(response)
                        if type(document) is dict:
                            with suppress(ErrorInAnswer, UnreadableAnswer):
                                reader.take(document)  # a refusal may report what it cost
                        if request.adapt(WireError.parse(document)):
                            response.close()
                            continue
                        raise refusal(self._provider, response.status, document, response.headers)
                    body = body_of(response)
                    answer = ReceivedAnswer(
                        self._provider,
                        reader,
                        response.headers,
                        max_bytes=self._max_answer_bytes,
                        may_be_empty=may_be_empty,
                    )
                    take = request.reading(answer.take)
                    while not answer.is_over:
                        if answer.is_finished:
                            if answer.has_event:
                                quiet_until_seconds = self._quiet_until_seconds()
                            chunk = await _chunk_until(quiet_until_seconds, body)
                        else:
                            chunk = await body.readany()
                        if text := take(chunk):
                            yield text
                        elif answer.has_progress:
                            yield PROGRESS
                    refused = answer.refusal_body
                    if refused is not None and request.adapt(WireError.parse(refused)):
                        response.close()
                        continue
                    reply = answer.reply(self._cost)
            except BaseException:
                response.close()
                raise
            break
        request.accepted()
        if chunk and not answer.was_cut:
            _let_go(response)
        else:
            response.close()
        yield reply

    async def _post(self, body: bytes, context: ChatRequestContext) -> aiohttp.ClientResponse:
        was_sent = context.is_sent
        context.is_sent = True
        with TranslateErrors(self._provider):
            try:
                return await self._session.post(
                    self._url, data=body, headers=self._headers, allow_redirects=False
                )
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                context.is_sent = was_sent  # there was nothing to send it on
                raise

    def _used(self, reader: AnswerReader) -> Usage:
        return self._cost(reader.usage())

    def _quiet_until_seconds(self) -> float:
        aftermath_seconds = min(_AFTERMATH_SECONDS, self._most_aftermath_seconds)
        return asyncio.get_running_loop().time() + aftermath_seconds


async def _chunk_until(at_seconds: float, body: Body) -> bytes:
    """Return what has come after the reason for stopping; nothing at the end of the body.

    That reason makes the answer whole, so that neither a provider that does not hang up nor a connection that breaks
    can spoil it any more. More text may follow all the same: some servers give the reason early.

    Args:
        at_seconds: When to stop waiting, in the time of the event loop.
        body: As it comes.
    """
    if body.is_eof():
        return await body.readany()
    try:
        async with asyncio.timeout_at(at_seconds):
            return await body.readany()
    except (TimeoutError, aiohttp.ClientError, UnreadableAnswer):
        return b""


def _let_go(response: aiohttp.ClientResponse) -> None:
    """Hang up soon, unless the body ends by then, which leaves the connection for the next call.

    Its last bytes tend to come just after the last event. The caller need not wait for them.
    """
    if not response.content.is_eof():
        hang_up = asyncio.get_running_loop().call_later(_LAST_BYTES_SECONDS, response.close)
        response.content.on_eof(hang_up.cancel)


async def _refusal_body(response: aiohttp.ClientResponse) -> object:
    """Return what a refusal says: its JSON, or its text; None where it is a page for a browser, or broken off."""
    try:
        body = await _start_of(body_of(response))
    except UnreadableAnswer:
        return None  # the status says enough
    try:
        return parse(body)
    except (UnreadableAnswer, orjson.JSONDecodeError):
        text = body.decode(errors="replace").strip()
        return None if text.startswith(("<", "{", "[")) else text


async def _start_of(content: Body) -> bytes:
    """Return as much of a refusal's body as can matter, without waiting long for it."""
    body = bytearray()
    try:
        async with asyncio.timeout(_REFUSAL_SECONDS):
            while len(body) < _REFUSAL_BYTES and (chunk := await content.readany()):
                body += chunk
    except (TimeoutError, aiohttp.ClientError, UnreadableAnswer):
        pass
    return bytes(body[:_REFUSAL_BYTES])
