"""Parses requests within limits of size and time."""

import logging
from math import inf

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.problems.problem_table import (
    BODY_TOO_LARGE,
    HEADERS_TOO_LARGE,
    INTERNAL,
    MALFORMED_REQUEST,
    OVERLOADED,
    URI_TOO_LONG,
    ProblemKind,
)
from app.server.error_response import RequestRefused
from app.server.options import ServeOptions
from app.server.request_head import complete_scope, head_without_upgrade

NOTHING, HEAD, BODY = range(3)
"""The part of a request that is arriving."""

MAX_DISCARDED_BYTES = 16 * 1024 * 1024
"""How much of a refused body is read, so that its sender reads the response."""

_MAX_PIPELINED = 100
_LOGGER = logging.getLogger("app.server")


class RequestParser(HttpToolsProtocol):
    """Parses requests and counts their bytes.

    Bytes are counted per read, and only while a request is incomplete, so that a request in a single read costs a few
    attributes. An overrun is therefore noticed at most one read late.
    """

    def __init__(
        self,
        options: ServeOptions,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _LOGGER
        self._options = options
        self._part = NOTHING
        self._is_ignoring = False
        self._started_seconds: float | None = None
        self._deadline_seconds = inf
        self._read_bytes = 0
        self._overhead_bytes = 0
        self._discarded_bytes = 0
        self._plain_head: bytes | None = None

    def _refuse(self, kind: ProblemKind) -> None:
        """Ignore further bytes of this client and send it the problem."""
        raise NotImplementedError

    def _begin(self, *, keep_alive: bool) -> None:
        """Queue the request in `scope` for the application; `cycle` is its response from now on."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        if self._is_ignoring:
            self._discard(len(data))
            return
        self._read_bytes = len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as exc:
            self._refuse(_problem_of(exc))
            return
        if self._part is not NOTHING:
            self._await_rest()

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                assert self._plain_head is not None
                data = self._plain_head + data[upgrade.args[0] :]
            else:
                return
            self._plain_head = None
            self.parser = httptools.HttpRequestParser(self)

    def _await_rest(self) -> None:
        """Count the bytes of an incomplete request, and set the deadline for the rest."""
        if self._started_seconds is None:
            self._started_seconds = self.loop.time()
        self._overhead_bytes += self._read_bytes
        limit_bytes = self._options.max_header_bytes
        if self._part is HEAD:
            limit_bytes += self._options.max_url_bytes
            seconds = self._options.header_receipt_seconds
        else:
            seconds = self._options.body_receipt_seconds
        if self._overhead_bytes > limit_bytes:
            self._refuse(HEADERS_TOO_LARGE)
        elif self._part is BODY and self.pipeline:
            self._deadline_seconds = (
                inf  # reading is paused until the earlier requests are answered
            )
        else:
            self._deadline_seconds = self._started_seconds + seconds

    def _discard(self, size_bytes: int) -> None:
        self._discarded_bytes += size_bytes
        if self._discarded_bytes > MAX_DISCARDED_BYTES:
            self.transport.abort()

    # The parser's callbacks. They set `_read_bytes` to 0 where the bytes read so far no longer count.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._part = HEAD
        self._started_seconds = None
        self._overhead_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._options.max_url_bytes:
            raise RequestRefused(URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn's, which compares each name with `Expect`; here it is looked up once."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Replaces uvicorn's method, which has no setting for the class of the response cycle."""
        limit_bytes = self._options.max_header_bytes
        if self._overhead_bytes + self._read_bytes > limit_bytes:
            lines_bytes = sum(len(name) + len(value) + 4 for name, value in self.headers)
            if lines_bytes > limit_bytes:
                raise RequestRefused(HEADERS_TOO_LARGE)
        parser = self.parser
        method, version = parser.get_method(), parser.get_http_version()
        if parser.should_upgrade():
            self._plain_head = head_without_upgrade(method, self.url, version, self.headers)
            return
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise RequestRefused(OVERLOADED)
        complete_scope(self.scope, method, self.url, version)
        expected = dict(self.headers).get(b"expect")
        self.expect_100_continue = expected is not None and expected.lower() == b"100-continue"
        self._begin(keep_alive=version == "1.1" and parser.should_keep_alive())
        self.headers = []  # keeps trailers out of the scope's headers
        self._part = BODY
        self._read_bytes = self._overhead_bytes = 0

    def on_body(self, body: bytes) -> None:
        self._read_bytes = self._overhead_bytes = 0
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > MAX_DISCARDED_BYTES:
                raise RequestRefused(BODY_TOO_LARGE)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._plain_head is not None:
            return  # it is parsed again, without the upgrade
        super().on_message_complete()
        self._part = NOTHING
        self._read_bytes = 0
        self._deadline_seconds = inf
        if self.cycle.response_complete:
            self._deadline_seconds = self.loop.time() + self._options.keep_alive_seconds


def _problem_of(exc: httptools.HttpParserError) -> ProblemKind:
    cause = exc.__context__
    if isinstance(cause, RequestRefused):
        return cause.kind
    if cause is None or isinstance(cause, httptools.HttpParserError):
        return MALFORMED_REQUEST
    _LOGGER.error("a request could not be started", exc_info=cause)
    return INTERNAL
