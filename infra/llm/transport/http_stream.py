"""Streams one answer over HTTP, or fetches it as one document."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import TypeVar

import aiohttp
import orjson
from yarl import URL

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.reply import AnswerEvent, ProviderSelected, Usage
from infra.llm.transport.adaptable_request import AdaptableRequest
from infra.llm.transport.authorization import Authorization, AuthorizedCall
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from infra.llm.transport.errors.body import WireError, with_type_in_header
from infra.llm.transport.errors.mapping import TranslateErrors, refusal
from infra.llm.transport.inflated_body import Body, body_of
from infra.llm.transport.json_document import parse
from infra.llm.transport.provider_connector import ProviderConnector
from infra.llm.transport.response_parser import AnswerReader
from infra.llm.transport.stream_decoder import ReceivedAnswer

# Memory of one answer while its reader is slow. Models generate far less per second than these let through.
_READ_BUFFER_BYTES = 8 * 1024
_RECEIVE_BUFFER_BYTES = 32 * 1024
_REFUSAL_BYTES = 64 * 1024
_REFUSAL_SECONDS = 2.0
# Without an event after the finish reason. Servers that send it early were seen to pause for three seconds.
_TRAILING_SECONDS = 10.0
# Of the idle limit, which would turn a complete answer into a failure.
_TRAILING_SHARE = 2 / 3
_LAST_BYTES_SECONDS = 1.0
_OK = 200
_LARGE_BYTES = 1024 * 1024
"""Of an answer whose parsing would keep the event loop from other requests for milliseconds."""

Document = TypeVar("Document")


def provider_session(
    connect_seconds: float, *, trace_configs: Sequence[aiohttp.TraceConfig] = ()
) -> aiohttp.ClientSession:
    """Return the session that all providers share; the caller closes it. Needs a running loop.

    It limits the time of connecting only: `Deadline` sets the other time limits, `Bulkhead` the number of calls. It
    stores no cookies and takes neither proxy nor password from the environment.
    """
    return aiohttp.ClientSession(
        connector=ProviderConnector(limit=0, keepalive_timeout=60, socket_factory=_provider_socket),
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,  # compressed bodies are inflated where their size is limited
        read_bufsize=_READ_BUFFER_BYTES,
        trace_configs=list(trace_configs),
    )


def _provider_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Return a socket with a small kernel buffer, since all of it is read at once into memory."""
    family, kind, protocol, _, _ = address
    provider_socket = socket.socket(family=family, type=kind, proto=protocol)
    provider_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    return provider_socket


class Endpoint:
    """One model at one provider.

    Args:
        session: From `provider_session`.
        provider: The provider's name in the catalogue.
        model: The model's id in the catalogue.
        url: The URL to post to. Redirects are not followed.
        headers: Those that never change, such as a key; may replace `Accept`.
        max_answer_bytes: Longer answers are cut there, in UTF-8, and the connection is closed.
        cost: Adds the cost to a usage.
        idle_seconds: The limit on silence within a streamed answer.
        whole_url: The URL for answers that are not streamed; None: the same.
        authorization: Supplies further headers for each request; None: `headers` are enough.
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
        idle_seconds: float = inf,
        whole_url: str | None = None,
        authorization: Authorization | None = None,
    ) -> None:
        self._session = session
        self._provider = provider
        self._selected = ProviderSelected(provider=provider, model=model)
        self._url = URL(url, encoded=True)
        self._whole_url = self._url if whole_url is None else URL(whole_url, encoded=True)
        self._headers = {
            "Accept": "text/event-stream",
            **headers,
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
        }
        self._max_answer_bytes = max_answer_bytes
        self._cost = cost
        self._authorization = authorization
        self._max_trailing_seconds = _TRAILING_SHARE * idle_seconds

    async def ask(
        self,
        request: AdaptableRequest,
        new_reader: Callable[[str], AnswerReader],
        context: ChatRequestContext,
        *,
        may_be_empty: bool,
        may_call: bool,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Post `request` and yield the events of `LLMClient.stream`; closing it closes the connection at once.

        Where the provider does not support a part of the request, the adapted request is sent here, so that it does not
        count as a failure. The same holds for credentials that have just expired or been revoked, once.

        Args:
            request: The request.
            new_reader: Creates the reader of an answer to the interaction with an id.
            context: Receives whether the prompt was sent, and a function that returns the reported usage.
            may_be_empty: The prompt ends with a partial answer, which may have been complete.
            may_call: The request offers tools.
        """
        yield self._selected
        authorized = self._authorized_call()
        while True:
            reader = new_reader(context.id)
            context.reported_usage = partial(self._used, reader)
            body_to_send = await request.body()
            url = self._url if request.is_streamed else self._whole_url
            headers: Mapping[str, str] = self._headers
            if authorized is not None:
                headers = await authorized.headers(url, body_to_send)
            response = await self._post(url, body_to_send, headers, context)
            try:
                with TranslateErrors(self._provider, response.status):
                    if response.status != _OK:
                        document = await _refusal_body(response)
                        if type(document) is dict:
                            with suppress(ErrorInAnswer, UnreadableAnswer):
                                reader.take(document)  # a refusal may report its usage
                        document = with_type_in_header(document, response.headers)
                        error = WireError.parse(document)
                        if request.adapt(error):
                            response.close()
                            continue
                        if authorized is not None and authorized.renews(response.status, error):
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
                        may_call=may_call,
                    )
                    take = request.reading(answer.take)
                    while not answer.is_over:
                        if answer.is_finished:
                            if answer.has_event:
                                quiet_until_seconds = self._quiet_until_seconds()
                            chunk = await _chunk_until(quiet_until_seconds, body)
                        else:
                            chunk = await body.readany()
                        received = take(chunk)
                        if type(received) is str:
                            if received:
                                yield received
                            elif (progress := answer.progress) is not None:
                                yield progress
                        elif received:
                            for event in received:
                                yield event
                        elif (progress := answer.progress) is not None:
                            yield progress
                    refused = answer.refusal_body
                    if refused is not None and request.adapt(WireError.parse(refused)):
                        response.close()
                        continue
                    rest = answer.end(self._cost)
            except BaseException:
                response.close()
                raise
            break
        request.accepted()
        if chunk and not answer.was_cut:
            _close_soon(response)
        else:
            response.close()
        for event in rest:
            yield event

    async def fetch(
        self,
        body: bytes,
        context: ChatRequestContext,
        read: Callable[[dict[str, object]], Document],
    ) -> Document:
        """Post `body` and return what `read` makes of the answer, which is one JSON object.

        A large answer is parsed in a thread. Unlike a streamed one, it is not cut but a failure where it is too long.
        Credentials are renewed as in `ask`.

        Args:
            body: The body of the request.
            context: Receives whether the request was sent.
            read: May raise `UnreadableAnswer`.

        Raises:
            LLMError: The call failed.
        """
        authorized = self._authorized_call()
        while True:
            headers: Mapping[str, str] = self._headers
            if authorized is not None:
                headers = await authorized.headers(self._url, body)
            response = await self._post(self._url, body, headers, context)
            try:
                with TranslateErrors(self._provider, response.status):
                    if response.status != _OK:
                        refused = await _refusal_body(response)
                        refused = with_type_in_header(refused, response.headers)
                        error = WireError.parse(refused)
                        if authorized is not None and authorized.renews(response.status, error):
                            continue
                        raise refusal(self._provider, response.status, refused, response.headers)
                    answer = await _whole(body_of(response), self._max_answer_bytes)
                    parse_answer = partial(self._read, answer, response.headers, read)
                    if len(answer) > _LARGE_BYTES:
                        return await asyncio.to_thread(parse_answer)
                    return parse_answer()
            finally:
                response.close()

    def _read(
        self,
        answer: bytes,
        headers: Mapping[str, str],
        read: Callable[[dict[str, object]], Document],
    ) -> Document:
        document = parse(answer)
        if type(document) is not dict:
            raise UnreadableAnswer("not a JSON object")
        if document.get("error"):
            status = WireError.parse(document).status or _OK
            raise refusal(self._provider, status, document, headers)
        return read(document)

    def _authorized_call(self) -> AuthorizedCall | None:
        if self._authorization is None:
            return None
        return AuthorizedCall(self._authorization, self._headers)

    async def _post(
        self, url: URL, body: bytes, headers: Mapping[str, str], context: ChatRequestContext
    ) -> aiohttp.ClientResponse:
        was_sent = context.is_sent
        context.is_sent = True
        with TranslateErrors(self._provider):
            try:
                return await self._session.post(
                    url, data=body, headers=headers, allow_redirects=False
                )
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                context.is_sent = was_sent  # there was no connection
                raise

    def _used(self, reader: AnswerReader) -> Usage:
        return self._cost(reader.usage())

    def _quiet_until_seconds(self) -> float:
        trailing_seconds = min(_TRAILING_SECONDS, self._max_trailing_seconds)
        return asyncio.get_running_loop().time() + trailing_seconds


async def _chunk_until(at_seconds: float, body: Body) -> bytes:
    """Return the next chunk after the finish reason; empty at the end of the body.

    The finish reason makes the answer complete, so neither an open connection nor a broken one may turn it into a
    failure. More text may follow, since some servers send the reason early.

    Args:
        at_seconds: When to stop waiting, in the time of the event loop.
        body: The body of the answer.
    """
    if body.is_eof():
        return await body.readany()
    try:
        async with asyncio.timeout_at(at_seconds):
            return await body.readany()
    except (TimeoutError, aiohttp.ClientError, UnreadableAnswer):
        return b""


def _close_soon(response: aiohttp.ClientResponse) -> None:
    """Close the connection soon, unless the body ends before, which keeps it for the next call.

    The last bytes of a body often arrive just after its last event; the caller does not wait for them.
    """
    if not response.content.is_eof():
        close = asyncio.get_running_loop().call_later(_LAST_BYTES_SECONDS, response.close)
        response.content.on_eof(close.cancel)


async def _refusal_body(response: aiohttp.ClientResponse) -> object:
    """Return the JSON or text of a refusal; None where it is HTML or incomplete."""
    try:
        body = await _start_of(body_of(response))
    except UnreadableAnswer:
        return None  # the status is enough
    try:
        return parse(body)
    except (UnreadableAnswer, orjson.JSONDecodeError):
        text = body.decode(errors="replace").strip()
        return None if text.startswith(("<", "{", "[")) else text


async def _whole(content: Body, max_bytes: int) -> bytes:
    """Return the whole body.

    Raises:
        UnreadableAnswer: It is longer than `max_bytes`.
    """
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > max_bytes:
            raise UnreadableAnswer("too long")
    return bytes(body)


async def _start_of(content: Body) -> bytes:
    """Return the start of a refusal's body, limited in size and time."""
    body = bytearray()
    try:
        async with asyncio.timeout(_REFUSAL_SECONDS):
            while len(body) < _REFUSAL_BYTES and (chunk := await content.readany()):
                body += chunk
    except (TimeoutError, aiohttp.ClientError, UnreadableAnswer):
        pass
    return bytes(body[:_REFUSAL_BYTES])
