"""Generates load over keep-alive connections: closed loop, or open loop at a fixed rate."""

import asyncio
import itertools
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length: "
_FIRST_TOKEN = (b"event: delta", b'"text": "', b'"delta":{"content"')
Progress = Callable[[int], object]
Requests = bytes | Iterator[bytes]


def post(
    path: str, body: bytes, *, key: str | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """Return a whole request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: */*\r\n"
        f"User-Agent: bench/1\r\nContent-Length: {len(body)}\r\n"
    )
    if key is not None:
        head += f"Authorization: Bearer {key}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return head.encode() + b"\r\n" + body


@dataclass(slots=True)
class Outcome:
    """Outcome of a load.

    Attributes:
        statuses: How many answers had each status; 0 is a connection that broke.
        latencies_seconds: Of each 200, from when it was due to its last byte.
        refused_seconds: The same, of every other answer.
        first_tokens_seconds: To the first token, where the answer came as a stream.
    """

    seconds: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    latencies_seconds: "array[float]" = field(default_factory=lambda: array("d"))
    refused_seconds: "array[float]" = field(default_factory=lambda: array("d"))
    first_tokens_seconds: "array[float]" = field(default_factory=lambda: array("d"))

    @property
    def answered(self) -> int:
        """Number of requests that got a 200."""
        return self.statuses.get(200, 0)

    @property
    def errors(self) -> int:
        """Number of requests that did not."""
        return sum(self.statuses.values()) - self.answered


def quantile(values: "array[float] | list[float]", share: float) -> float:
    """Return the quantile `share` of the values; NaN if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class Caller(asyncio.Protocol):
    """One connection with at most one request in flight."""

    def __init__(self, outcome: Outcome, idle: Callable[["Caller"], None]) -> None:
        self._outcome = outcome
        self._idle = idle
        self._due_seconds: float | None = None
        self.is_open = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self.is_open = True

    def ask(self, request: bytes, due_seconds: float, leave_after_seconds: float | None) -> None:
        """Send `request`; its time counts from `due_seconds`. The caller may disconnect before it is answered."""
        self._due_seconds = due_seconds
        self._received = b""
        self._size_bytes = -1
        self._has_token = False
        self._transport.write(request)
        if leave_after_seconds is not None:
            asyncio.get_running_loop().call_later(leave_after_seconds, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        if self._size_bytes == -1:
            end = received.find(_END_OF_HEAD)
            if end < 0:
                return
            head = received[:end].lower()
            self._status = int(head[9:12])
            start = head.find(_LENGTH)
            if start >= 0:
                length = int(head[start + len(_LENGTH) :].split(b"\r\n", 1)[0])
                self._size_bytes = end + 4 + length
            else:
                self._size_bytes = -2  # chunked
        if self._size_bytes >= 0:
            is_whole = len(received) >= self._size_bytes
        else:
            if not self._has_token and any(token in received for token in _FIRST_TOKEN):
                self._has_token = True
                self._outcome.first_tokens_seconds.append(time.perf_counter() - self._due())
            is_whole = received.endswith(b"0\r\n\r\n")
        if is_whole:
            self._end(self._status)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._due_seconds is not None:
            self._end(0)

    def close(self) -> None:
        """Close the connection."""
        self._due_seconds = None
        self._transport.close()

    def _due(self) -> float:
        return self._due_seconds or 0.0

    def _end(self, status: int) -> None:
        outcome = self._outcome
        outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
        seconds = time.perf_counter() - self._due()
        (outcome.latencies_seconds if status == 200 else outcome.refused_seconds).append(seconds)
        self._due_seconds = None
        self._idle(self)


async def closed_loop(
    port: int,
    requests: Requests,
    *,
    connections: int,
    seconds: float,
    ramp_seconds: float = 0.0,
    progress: Progress = int,
) -> Outcome:
    """Keep one request in flight on each connection for a time, then wait for the last ones.

    `requests` is the request that all of them send, or one after the other from an endless iterator. They begin evenly over `ramp_seconds`. `progress` is called with the number of answers now and then.
    """
    loop = asyncio.get_running_loop()
    outcome = Outcome()
    source = itertools.repeat(requests) if isinstance(requests, bytes) else requests
    left = connections
    over = asyncio.Event()
    started = time.perf_counter()
    until = started + seconds
    answered = 0

    def again(caller: Caller) -> None:
        nonlocal left, answered
        now = time.perf_counter()
        answered += 1
        if answered % 256 == 0:
            progress(256)
        if now < until and caller.is_open:
            caller.ask(next(source), now, None)
            return
        left -= 1
        if left == 0:
            over.set()

    callers = []
    for _ in range(connections):
        _, caller = await loop.create_connection(lambda: Caller(outcome, again), "127.0.0.1", port)
        callers.append(caller)
    started = time.perf_counter()
    until = started + seconds
    for number, caller in enumerate(callers):
        if (delay := started + ramp_seconds * number / connections - time.perf_counter()) > 0:
            await asyncio.sleep(delay)
        caller.ask(next(source), time.perf_counter(), None)
    await over.wait()
    outcome.seconds = time.perf_counter() - started
    for caller in callers:
        caller.close()
    return outcome


def get(path: str, *, key: str | None = None) -> bytes:
    """Return a whole request without a body."""
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench/1\r\n"
    if key is not None:
        head += f"Authorization: Bearer {key}\r\n"
    return head.encode() + b"\r\n"


async def open_loop(
    port: int, request: bytes, *, per_second: float, seconds: float, progress: Progress = int
) -> Outcome:
    """Send requests at a constant rate, whether or not earlier ones were answered, each on its own connection.

    Connections are kept and used again, so that there are as many as requests in flight at the most.
    """
    loop = asyncio.get_running_loop()
    outcome = Outcome()
    idle: deque[Caller] = deque()
    callers: list[Caller] = []
    under_way = 0
    is_over = False
    all_answered = asyncio.Event()

    def free(caller: Caller) -> None:
        nonlocal under_way
        under_way -= 1
        if caller.is_open:
            idle.append(caller)
        if is_over and not under_way:
            all_answered.set()

    started = time.perf_counter()
    total = int(per_second * seconds)
    tasks: set[asyncio.Task[None]] = set()

    async def on_new_connection(due: float) -> None:
        _, caller = await loop.create_connection(lambda: Caller(outcome, free), "127.0.0.1", port)
        callers.append(caller)
        caller.ask(request, due, None)

    for number in range(total):
        due = started + number / per_second
        delay = due - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        under_way += 1
        while idle and not idle[-1].is_open:
            idle.pop()
        if idle:
            idle.pop().ask(request, due, None)
        else:
            task = loop.create_task(on_new_connection(due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if number % 32 == 0:
            progress(32)
    await asyncio.gather(*tasks)
    is_over = True
    if under_way:
        await all_answered.wait()
    outcome.seconds = time.perf_counter() - started
    for caller in callers:
        caller.close()
    return outcome
