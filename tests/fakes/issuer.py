"""An issuer of tokens: keys of every kind, and a real server that publishes them."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

ISSUER = "https://issuer.example/"
AUDIENCE = "rt-genai"
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
WEAK_KEY = rsa.generate_private_key(65537, 1024)


def jwk_of(key: Any, algorithm: str, **fields: Any) -> dict[str, Any]:
    """The public part of a key, as an issuer publishes it."""
    jwk = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": algorithm, "use": "sig", **fields}


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says; None takes a claim out."""
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "exp": now + 300, "iat": now}
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def token(
    algorithm: str = "ES256",
    *,
    key: Any = None,
    headers: dict[str, Any] | None = None,
    **changes: Any,
) -> bytes:
    """A token with `changes` to its claims, signed with the issuer's own key of that algorithm."""
    head = {"kid": algorithm, **(headers or {})}
    return jwt.encode(claims(**changes), key or KEYS[algorithm], algorithm, headers=head).encode()


class Issuer:
    """Serves `keys` at `url`; `answer`, if set, is served instead.

    Attributes:
        fetches: How often it was asked.
        paths: What it was asked for.
    """

    def __init__(self) -> None:
        self.keys = [jwk_of(key, algorithm) for algorithm, key in KEYS.items()]
        self.answer: web.Response | None = None
        self.delay_seconds = 0.0
        self.paths: list[str] = []
        self.url = ""

    @property
    def fetches(self) -> int:
        return self.paths.count("/jwks")

    async def handle(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        await asyncio.sleep(self.delay_seconds)
        if self.answer is not None:
            answer, headers = self.answer, dict(self.answer.headers)
            return web.Response(status=answer.status, body=answer.body, headers=headers)
        return web.Response(body=json.dumps({"keys": self.keys}))


@asynccontextmanager
async def issuing(issuer: Issuer, port: int = 0) -> AsyncIterator[Issuer]:
    """Serve on loopback until the block ends."""
    application = web.Application()
    application.router.add_get("/{path:.*}", issuer.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
        yield issuer
    finally:
        await runner.cleanup()


@contextmanager
def issuer_in_thread(port: int = 0) -> Iterator[Issuer]:
    """Serve from a thread of its own until the block ends, for tests that have no loop."""
    issuer = Issuer()
    is_up = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with issuing(issuer, port):
            is_up.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert is_up.wait(120), "the issuer did not start"
    try:
        yield issuer
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
