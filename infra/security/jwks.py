"""The issuer's keys: fetched from one URL, kept, and fetched again."""

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
    """What is known of the issuer's keys; tokens are checked against it without asking anybody.

    Attributes:
        degraded: Since when the keys cannot be fetched; None while they can.
    """

    def __init__(self, fetch: Callable[[], Awaitable[JwkSet]], clock: Clock) -> None:
        """Know nothing yet.

        Args:
            fetch: Returns the keys as they are now; raises `aiohttp.ClientError`, `TimeoutError` or `UnusableKeySet`.
            clock: For ages and pauses.
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
        """The keys as last fetched; None when that never was, or is more than 24 h ago."""
        if self._keys is None or self._clock.monotonic() - self._fetched_seconds > KEEP_SECONDS:
            return None
        return self._keys

    async def look_again(self) -> None:
        """Return once the keys are as new as may be: whoever made up an unknown key must not make us ask and ask.

        Fetches at most once in 30 s, and once for all who ask meanwhile.
        """
        tried = self._tried_seconds
        if self._fetching is None and (
            tried is not None and self._clock.monotonic() - tried < LOOK_AGAIN_SECONDS
        ):
            return
        await self.refresh()

    async def refresh(self) -> None:
        """Fetch the keys, or wait for the fetch under way; keeps the old ones when that fails, and never raises."""
        if self._fetching is None:
            self._tried_seconds = self._clock.monotonic()
            self._fetching = asyncio.create_task(self._take_in(), name="fetch JWKS")
        await asyncio.shield(self._fetching)

    async def stay_fresh(self) -> None:
        """Fetch now and then, sooner after a failure; never returns."""
        while True:
            await self.refresh()
            await self._clock.sleep(REFRESH_SECONDS if self.degraded is None else RETRY_SECONDS)

    def degradations(self) -> Sequence[Degraded]:
        """Return what does not work, for readiness to list."""
        return [] if self.degraded is None else [self.degraded]

    async def _take_in(self) -> None:
        try:
            keys = await self._fetch()
        except (aiohttp.ClientError, TimeoutError, OSError, UnusableKeySet) as exc:
            self._degrade(exc)
        else:
            # Unchanged keys stay the same object, so that what was checked with them stays checked.
            if self._keys is None or keys.digest != self._keys.digest:
                self._keys = keys
            self._fetched_seconds = self._clock.monotonic()
            if self.degraded is not None:
                self.degraded = None
                _logger.info("the keys of the tokens' issuer can be fetched again")
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
                "the keys of the tokens' issuer cannot be fetched: %s", exc or type(exc).__name__
            )


@asynccontextmanager
async def open_jwks(url: str, clock: Clock) -> AsyncIterator[Jwks]:
    """Fetch the keys at `url` and keep them fresh until the block ends; that they cannot be had now is no error.

    Nothing else is ever asked: not where a token points to, not where a redirect leads, through no proxy.
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
