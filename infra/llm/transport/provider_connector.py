"""Connections to providers, with a cheaper parser than aiohttp's own. The only use of private names of aiohttp."""

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

_MEASURED_VERSIONS = ("3.14.",)
"""Versions of aiohttp with which the private names were tried and the gain measured; others use aiohttp's connections."""


class ProviderConnector(aiohttp.TCPConnector):
    """Opens connections whose parser resumes only after a pause, and that joins what arrives together.

    aiohttp has its parser look for more data after each piece of a body that is taken, whether it had paused or not:
    thirty times for a body of thirty chunks, which is 2 % of the instructions of a chat and 4 % of a stream (aiohttp
    3.14.5). It also takes each HTTP chunk from the buffer by itself, although readers want all that was received: eight
    chunks in one packet took 5 % of the instructions of a chat. Nothing else differs.

    Needs a running loop.
    """

    def __init__(self, *, aiohttp_version: str = aiohttp.__version__, **options: Any) -> None:
        super().__init__(**options)
        if aiohttp_version.startswith(_MEASURED_VERSIONS):
            self._factory = partial(  # type: ignore[assignment]
                _Connection, loop=asyncio.get_running_loop()
            )


class _Connection(ResponseHandler):
    _is_paused = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        payload = self._payload
        if payload is not None and len(received := payload._buffer) > 1:
            joined = b"".join(received)
            received.clear()
            received.append(joined)
            if payload._http_chunk_splits is not None:
                payload._http_chunk_splits.clear()  # where chunks end, which no reader asks for

    def pause_reading(self) -> None:
        self._is_paused = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._is_paused:
            self._is_paused = False
            super().resume_reading(resume_parser)
