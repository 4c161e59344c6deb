"""Fetches and refreshes the keys of the token issuer."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from domain.interfaces.clock import Clock
from domain.interfaces.health import Degraded
from infra.security.jwk_set import JwkSet, UnusableKeySet
from infra.tasks.supervised import running_tasks

REFRESH_SECONDS = 300.0
RETRY_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 30.0
KEEP_SECONDS = 24 * 3600.0

_FETCH_SECONDS = 5.0
_MOST_BYTES = 256 * 1024
_logger = logging.getLogger("infra.security")


class Jwks:
    """The issuer's keys in memory; tokens are verified without network calls.

    Attributes:
        degraded: Set while the keys cannot be fetched; None otherwise.
    """

    def __init__(self, fetch: Callable[[], Awaitable[JwkSet]], clock: Clock) -> None:
        """Start without keys.

        Args:
            fetch: Fetches the current keys; raises `aiohttp.ClientError`, `TimeoutError` or `UnusableKeySet`.
            clock: Clock for ages and pauses.
        """
        self.degraded: Degraded | None = None
        self._fetch = fetch
        self._clock = clock
        self._keys: JwkSet | None = None
        self._fetched_seconds = 0.0
        self._tried_seconds: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    @property
    def keys(self) -> JwkSet | None:
        """The keys as last fetched; None if never fetched, or more than 24 hours ago."""
        if self._keys is None or self._clock.monotonic() - self._fetched_seconds > KEEP_SECONDS:
            return None
        return self._keys

    async def refresh_for_unknown_key(self) -> None:
        """Refresh the keys for a token with an unknown key id.

        At most once in 30 s, so that tokens with invented key ids do not cause a fetch each; concurrent callers share
        one fetch.
        """
        tried = self._tried_seconds
        if self._fetching is None and (
            tried is not None and self._clock.monotonic() - tried < LOOK_AGAIN_SECONDS
        ):
            return
        await self.refresh()

    async def refresh(self) -> None:
        """Fetch the keys, or wait for the current fetch; keeps the old keys on failure. Does not raise."""
        if self._fetching is None:
            self._tried_seconds = self._clock.monotonic()
            self._fetching = asyncio.create_task(self._fetch_and_store(), name="fetch JWKS")
        await asyncio.shield(self._fetching)

    async def stay_fresh(self) -> None:
        """Refresh the keys periodically, sooner after a failure; does not return."""
        while True:
            await self.refresh()
            await self._clock.sleep(REFRESH_SECONDS if self.degraded is None else RETRY_SECONDS)

    def degradations(self) -> Sequence[Degraded]:
        """Return the degraded component, if any."""
        return [] if self.degraded is None else [self.degraded]

    async def _fetch_and_store(self) -> None:
        try:
            keys = await self._fetch()
        except (aiohttp.ClientError, TimeoutError, OSError, UnusableKeySet) as exc:
            self._degrade(exc)
        else:
            # Unchanged keys remain the same object, so that cached tokens stay valid.
            if self._keys is None or keys.digest != self._keys.digest:
                self._keys = keys
            self._fetched_seconds = self._clock.monotonic()
            if self.degraded is not None:
                self.degraded = None
                _logger.info("the keys of the token issuer can be fetched again")
        finally:
            self._fetching = None

    def _degrade(self, exc: Exception) -> None:
        if self.degraded is None:
            self.degraded = Degraded(
                component="tokens",
                reason="the issuer's keys cannot be fetched",
                since_milliseconds=self._clock.now_milliseconds(),
            )
            _logger.error(
                "the keys of the token issuer cannot be fetched: %s", exc or type(exc).__name__
            )


@asynccontextmanager
async def open_jwks(url: str, clock: Clock) -> AsyncIterator[Jwks]:
    """Fetch the keys at `url` and refresh them until the block ends. A failed fetch is not an error.

    No other URL is requested: none named in a token, no redirect, no proxy.
    """
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=_FETCH_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
    ) as session:
        address = URL(url)

        async def fetch() -> JwkSet:
            async with session.get(
                address,
                allow_redirects=False,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            ) as response:
                if response.status != 200:
                    raise UnusableKeySet(f"status {response.status}")
                return JwkSet.parse(await _at_most(response, _MOST_BYTES))

        jwks = Jwks(fetch, clock)
        async with running_tasks(jwks.stay_fresh):
            yield jwks


async def _at_most(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > limit_bytes:
            raise UnusableKeySet(f"more than {limit_bytes} bytes")
    return bytes(content)
