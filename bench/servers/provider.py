"""A provider with minimal cost: Gemini's and OpenAI's streams, over a bare protocol.

    python -m bench.servers.provider --port 9000

It has to be faster than whatever is measured through it: `python -m bench` shows what it can do alone. What it says
and how a prompt can ask it for delays and faults is in `bench/servers/wire.py`.
"""

import argparse
import asyncio
from collections import deque

from bench.servers.wire import Manner, completion_of, frames_of, is_stream, refusal_of

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Conversation(asyncio.Protocol):
    """One connection: whole requests in, answers out in their order."""

    faults = 0

    def __init__(self) -> None:
        self._received = b""
        self._waiting: deque[bytes] = deque()
        self._is_busy = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        while (end := received.find(_END_OF_HEAD)) >= 0:
            head = received[:end]
            start = head.lower().find(_LENGTH)
            body_bytes = 0
            if start >= 0:
                body_bytes = int(head[start + len(_LENGTH) :].split(b"\r\n", 1)[0])
            whole = end + 4 + body_bytes
            if len(received) < whole:
                break
            request, received = received[:whole], received[whole:]
            if self._is_busy:
                self._waiting.append(request)
            else:
                self._answer(request)
        self._received = received

    def _answer(self, request: bytes) -> None:
        manner = Manner.of(request)
        if not is_stream(request):
            self._transport.write(completion_of(manner.chunks))
            return
        frames = frames_of(manner.chunks, is_gemini=b"streamGenerateContent" in request[:256])
        if manner.fault and self._fails(manner.fault, frames):
            return
        if not manner.latency_seconds and not manner.gap_seconds:
            self._transport.write(b"".join(frames))
            return
        self._is_busy = True
        if not manner.gap_seconds:
            frames = (b"".join(frames),)
        self._loop.call_later(manner.latency_seconds, self._say, frames, 0, manner.gap_seconds)

    def _say(self, frames: tuple[bytes, ...], number: int, gap_seconds: float) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(frames[number])
        if number + 1 < len(frames):
            self._loop.call_later(gap_seconds, self._say, frames, number + 1, gap_seconds)
            return
        self._is_busy = False
        if self._waiting:
            self._answer(self._waiting.popleft())

    def _fails(self, fault: str, frames: tuple[bytes, ...]) -> bool:
        name = fault.removeprefix("flaky-")
        if name != fault:
            Conversation.faults += 1
            if Conversation.faults % 2 == 0:
                return False
        if name == "cut":
            self._transport.write(b"".join(frames[: len(frames) // 2]))
            self._transport.close()
        elif name == "reset":
            self._transport.abort()
        else:
            self._transport.write(refusal_of(int(name)))
        return True


async def serve(port: int) -> None:
    """Answer until killed; prints the port once it listens."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Conversation, "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Read the command line and serve."""
    import uvloop

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
