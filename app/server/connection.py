"""One client's connection: order of its requests, deadlines, and closing."""

import asyncio
import socket
import struct
from math import inf

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.problems.problem_table import OVERLOADED, REQUEST_TIMEOUT, ProblemKind
from app.server.error_response import closing_response
from app.server.request_parser import BODY, NOTHING, RequestParser
from app.server.response_cycle import BufferedTransport, ResponseCycle

_WRITE_BUFFER_BYTES = 16 * 1024
_LINGER_SECONDS = 2.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER, on, of zero seconds."""


class Connection(RequestParser):
    """Refuses or closes connections whose clients exceed a limit or a deadline.

    It has no timer: the server calls `has_expired` twenty times a second.
    """

    _write_deadline_seconds = inf
    _current: ResponseCycle | None = None
    _refusal: ProblemKind | None = None
    _is_lingering = False
    _is_last = False
    _has_client_left = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        has_room = len(self.connections) < self._options.max_connections
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self._buffered = BufferedTransport(transport, self._close_after_writing)
        self._deadline_seconds = self.loop.time() + self._options.header_receipt_seconds
        if not has_room:
            self.connections.discard(self)
            self.loop.call_later(_LINGER_SECONDS, transport.abort)
            self._refuse(OVERLOADED)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._current is not None and not self._current.response_complete:
            self._current.disconnected = True
            self._current.message_event.set()
        self.pipeline.clear()
        self._buffered.detach(self.transport)  # breaks the reference cycle

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Answer the requests that are complete; a client may close its sending half and still read."""
        if self._part is not NOTHING or self._is_lingering:
            return None
        self._has_client_left = True
        self.shutdown()
        if self._current is not None:
            self._current.has_client_left = True
            self._current.message_event.set()
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_deadline_seconds = self.loop.time() + self._options.write_stall_seconds

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_deadline_seconds = inf

    def has_expired(self, now_seconds: float) -> bool:
        """Return whether `close_expired` is due at `now_seconds` of the loop's clock."""
        return (
            now_seconds >= self._deadline_seconds
            or now_seconds >= self._write_deadline_seconds
            or (self._deadline_seconds == inf and self.transport.is_closing())
        )

    def close_expired(self, now_seconds: float) -> None:
        """Close, refuse or reset, depending on which deadline has passed."""
        if now_seconds >= self._write_deadline_seconds:
            self._reset()
        elif now_seconds < self._deadline_seconds:
            # It closes once everything is written, which a client that does not read would delay without limit.
            self._deadline_seconds = now_seconds + self._options.write_stall_seconds
        else:
            self._expire()

    def shutdown(self) -> None:
        """Close after answering the requests that have at least begun to arrive. A second call changes nothing."""
        self._is_last = True
        if not self._is_answered():
            self.cycle.keep_alive = False
        elif self._part is NOTHING and not self._is_lingering:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Start the next request, send a pending refusal, or wait. Unlike uvicorn's, it starts no timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing() or self._is_lingering:
            return
        self.flow.resume_reading()
        now_seconds = self.loop.time()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            if self._part is BODY and not self.pipeline:
                self._started_seconds = now_seconds  # reading was paused until now
                self._deadline_seconds = now_seconds + self._options.body_receipt_seconds
        elif self._refusal is not None:
            self._send_refusal(self._refusal)
        elif self._part is NOTHING:
            self._deadline_seconds = now_seconds + self._options.keep_alive_seconds
        elif self._part is BODY and self.expect_100_continue:
            self._close_after_writing()  # the next bytes may be the body or another request

    def _begin(self, *, keep_alive: bool) -> None:
        is_next = self._is_answered()
        self.cycle = cycle = ResponseCycle(
            scope=self.scope,
            transport=self._buffered,  # type: ignore[arg-type]
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        if is_next:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        assert isinstance(cycle, ResponseCycle)
        cycle.has_client_left = self._has_client_left
        if self._is_last and not self.pipeline:
            cycle.keep_alive = False
        self._current = cycle
        super()._start_asgi_task(cycle, app)

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expire(self) -> None:
        self._deadline_seconds = inf
        if self._is_lingering or self.transport.is_closing():
            self._reset()
        elif self._part is NOTHING:
            self.transport.close()
        else:
            self._refuse(REQUEST_TIMEOUT)

    def _refuse(self, kind: ProblemKind) -> None:
        """Ignore further bytes, and send the problem once the earlier requests are answered."""
        part, self._part = self._part, NOTHING
        self._is_ignoring = True
        self._deadline_seconds = inf
        if part is not BODY:
            if self._is_answered():
                self._send_refusal(kind)
            else:
                self._refusal = kind
        elif self.pipeline:
            self.pipeline.popleft()
            self._refusal = kind
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self._linger()
            else:
                self._send_refusal(kind)

    def _send_refusal(self, kind: ProblemKind) -> None:
        self.transport.write(closing_response(kind, self.server_state.default_headers))
        self._linger()

    def _close_after_writing(self) -> None:
        """Close once everything is written."""
        if self._part is NOTHING:
            self.transport.close()
        else:
            self._linger()

    def _reset(self) -> None:
        """Reset the connection: after a close the kernel would keep and resend the unread bytes."""
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
        )
        self.transport.abort()

    def _linger(self) -> None:
        """Close, but read on for a while: a reset would discard the response of a client that is still sending."""
        if self._has_client_left:
            self.transport.close()
        elif not self.transport.is_closing():
            self._is_ignoring = self._is_lingering = True
            self._deadline_seconds = self.loop.time() + _LINGER_SECONDS
            self.flow.resume_reading()
            try:
                self.transport.write_eof()
            except OSError:  # the client disconnected unnoticed
                self.transport.abort()
