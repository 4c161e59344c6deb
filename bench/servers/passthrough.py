"""The baseline: a minimal proxy in Python between a caller and a provider.

    python -m bench.servers.passthrough --port 9001 --upstream http://127.0.0.1:9000

A bare ASGI application on uvicorn that posts what it gets with aiohttp, reads the whole answer and hands it back. It
parses nothing, stores nothing and authenticates no caller.
"""

import argparse
from typing import Any

import aiohttp
import uvicorn

_PATH = "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"


class PassThrough:
    """Forwards every request to one URL."""

    def __init__(self, upstream: str) -> None:
        self._url = upstream + _PATH
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        async with self._session.post(self._url, data=body) as response:
            answer = await response.read()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    arguments = parser.parse_args()
    uvicorn.run(
        PassThrough(arguments.upstream),
        port=arguments.port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=300,
    )


if __name__ == "__main__":
    main()
