"""One client's connection: whose turn it is, how long anything may take, and how it ends."""

import asyncio
import socket
import struct
from math import inf

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.problems.problem_table import OVERLOADED, REQUEST_TIMEOUT, ProblemKind
from app.server.error_response import last_answer
from app.server.request_parser import BODY, NOTHING, Reading
from app.server.response_cycle import Answer, BufferedTransport

_WRITE_BUFFER_BYTES = 16 * 1024
_LINGER_SECONDS = 2.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER, on, of zero seconds."""


class Connection(Reading):
    """Gives up on a client that takes too much or too long.

    It has no timer: the server asks `is_over_time` a few times a second.
    """

    _write_deadline_seconds = inf
    _answer: Answer | None = None
    _refusal: ProblemKind | None = None
    _is_lingering = False
    _is_last = False
    _has_client_left = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        has_room = len(self.connections) < self._options.max_connections
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self._outlet = BufferedTransport(transport, self._hang_up)
        self._deadline_seconds = self.loop.time() + self._options.header_receipt_seconds
        if not has_room:
            self.connections.discard(self)
            self.loop.call_later(_LINGER_SECONDS, transport.abort)
            self._refuse(OVERLOADED)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._answer is not None and not self._answer.response_complete:
            self._answer.disconnected = True
            self._answer.message_event.set()
        self.pipeline.clear()
        self._outlet.let_go(self.transport)  # nothing holds this connection any more

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Answer what was asked completely; a client may close its sending half and read on."""
        if self._part is not NOTHING or self._is_lingering:
            return None
        self._has_client_left = True
        self.shutdown()
        if self._answer is not None:
            self._answer.has_client_left = True
            self._answer.message_event.set()
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_deadline_seconds = self.loop.time() + self._options.write_stall_seconds

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_deadline_seconds = inf

    def is_over_time(self, now_seconds: float) -> bool:
        """Tell whether `give_up` is due at `now_seconds` of the loop's clock."""
        return (
            now_seconds >= self._deadline_seconds
            or now_seconds >= self._write_deadline_seconds
            or (self._deadline_seconds == inf and self.transport.is_closing())
        )

    def give_up(self, now_seconds: float) -> None:
        """End what is over time."""
        if now_seconds >= self._write_deadline_seconds:
            self._break_off()
        elif now_seconds < self._deadline_seconds:
            # It closes when everything is written; a client that does not read would keep it for ever.
            self._deadline_seconds = now_seconds + self._options.write_stall_seconds
        else:
            self._expire()

    def shutdown(self) -> None:
        """Close after what was asked, or begun to be asked, is answered. A second call changes nothing."""
        self._is_last = True
        if not self._is_answered():
            self.cycle.keep_alive = False
        elif self._part is NOTHING and not self._is_lingering:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Turn to what comes next. Unlike uvicorn's, it starts no timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing() or self._is_lingering:
            return
        self.flow.resume_reading()
        now_seconds = self.loop.time()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            if self._part is BODY and not self.pipeline:
                self._begun_seconds = now_seconds  # until now we did not read on
                self._deadline_seconds = now_seconds + self._options.body_receipt_seconds
        elif self._refusal is not None:
            self._send_refusal(self._refusal)
        elif self._part is NOTHING:
            self._deadline_seconds = now_seconds + self._options.keep_alive_seconds
        elif self._part is BODY and self.expect_100_continue:
            self._hang_up()  # the body may never come, and what does could be either

    def _begin(self, *, keep_alive: bool) -> None:
        has_turn = self._is_answered()
        self.cycle = answer = Answer(
            scope=self.scope,
            transport=self._outlet,  # type: ignore[arg-type]
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
        if has_turn:
            self._start_asgi_task(answer, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((answer, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        assert isinstance(cycle, Answer)
        cycle.has_client_left = self._has_client_left
        if self._is_last and not self.pipeline:
            cycle.keep_alive = False
        self._answer = cycle
        super()._start_asgi_task(cycle, app)

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expire(self) -> None:
        self._deadline_seconds = inf
        if self._is_lingering or self.transport.is_closing():
            self._break_off()
        elif self._part is NOTHING:
            self.transport.close()
        else:
            self._refuse(REQUEST_TIMEOUT)

    def _refuse(self, kind: ProblemKind) -> None:
        """Take nothing more, and tell why once everything asked before is answered."""
        part, self._part = self._part, NOTHING
        self._is_deaf = True
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
        self.transport.write(last_answer(kind, self.server_state.default_headers))
        self._linger()

    def _hang_up(self) -> None:
        """Close once everything is written."""
        if self._part is NOTHING:
            self.transport.close()
        else:
            self._linger()

    def _break_off(self) -> None:
        """Reset the connection: closed, the kernel would hold what was not taken, and go on offering it."""
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
        )
        self.transport.abort()

    def _linger(self) -> None:
        """Close, but read on for a while: a reset would take the answer from a client that is still sending."""
        if self._has_client_left:
            self.transport.close()
        elif not self.transport.is_closing():
            self._is_deaf = self._is_lingering = True
            self._deadline_seconds = self.loop.time() + _LINGER_SECONDS
            self.flow.resume_reading()
            try:
                self.transport.write_eof()
            except OSError:  # it has left without our having read so
                self.transport.abort()
