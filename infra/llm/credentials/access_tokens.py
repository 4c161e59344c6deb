"""Caches the access token of one provider and renews it before it expires."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from yarl import URL

from domain.exceptions import LLMMisconfigured, LLMUnavailable
from domain.interfaces.clock import Clock
from infra.llm.transport.authorization import Authorization
from infra.llm.transport.errors.body import WireError

logger = logging.getLogger(__name__)

# Metadata servers return the same token until some five minutes before its end.
_RENEWAL_SECONDS = 240.0
_RENEWAL_SHARE = 0.2
_MARGIN_SECONDS = 10.0
"""A call must reach the provider before the token expires."""
_MARGIN_SHARE = 0.05
_PAUSE_SECONDS = 5.0
"""After a renewal that failed while the old token is valid."""
_FETCH_SECONDS = 30.0
_UNAUTHORIZED = 401


class TokenRefused(Exception):
    """There are no credentials, or the token server rejects them."""


class TokenServerUnavailable(Exception):
    """The token server cannot be reached, or fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """An access token.

    Attributes:
        headers: Authorise a call.
        lifetime_seconds: Until it expires, counted from when it was fetched.
    """

    headers: Mapping[str, str]
    lifetime_seconds: float

    def __repr__(self) -> str:
        return f"AccessToken(lifetime_seconds={self.lifetime_seconds!r})"


class AccessTokens(Authorization):
    """The current token of one provider.

    Callers that need a token while none is valid share one fetch. A valid token is returned at once; the first call in
    the last part of its life starts a fetch in the background. If that fails, the old token is used until it expires.
    """

    def __init__(self, fetch: Callable[[], AccessToken], *, provider: str, clock: Clock) -> None:
        """Begin without a token.

        Args:
            fetch: Returns a new token, or raises `TokenRefused` or `TokenServerUnavailable`. It may block: it runs in a
                thread, one call at a time.
            provider: The provider's name in the catalogue.
            clock: For lifetimes.
        """
        self._fetch = fetch
        self._provider = provider
        self._clock = clock
        self._headers: Mapping[str, str] = {}
        self._expires_seconds = self._renews_seconds = 0.0
        self._renewal: asyncio.Task[Exception | None] | None = None

    def prepare(self) -> None:
        self.start_fetch()

    async def headers(self, url: URL, content_type: str, body: bytes) -> Mapping[str, str]:
        now_seconds = self._clock.monotonic()
        if now_seconds < self._expires_seconds:
            if now_seconds >= self._renews_seconds:
                self.start_fetch()
            return self._headers
        # shielded: other callers wait for the same fetch
        error = await asyncio.shield(self.start_fetch())
        if error is None:
            return self._headers
        message = f"no access token for {self._provider}"
        if isinstance(error, TokenRefused):
            raise LLMMisconfigured(message) from error
        raise LLMUnavailable(message) from error

    def renews(self, status: int, error: WireError, headers: Mapping[str, str]) -> bool:
        if status != _UNAUTHORIZED:
            return False
        # another call may have replaced the token since
        if headers is self._headers:
            self._expires_seconds = self._renews_seconds = 0.0
        return True

    def start_fetch(self) -> asyncio.Task[Exception | None]:
        """Start fetching a new token, unless a fetch is running; return the fetch, whose result is its error."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
        return self._renewal

    async def close(self) -> None:
        if self._renewal is not None:
            # only the waiting for it: its thread ends when the fetch does
            self._renewal.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewal

    async def _renew(self) -> Exception | None:
        # the life of a token may begin with the request for it
        began_seconds = self._clock.monotonic()
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                token = await self._in_thread()
        except (TokenRefused, TokenServerUnavailable, TimeoutError) as error:
            now_seconds = self._clock.monotonic()
            self._renews_seconds = now_seconds + _PAUSE_SECONDS
            is_fatal = now_seconds >= self._expires_seconds
            logger.log(
                logging.ERROR if is_fatal else logging.WARNING,
                "no new access token for %s: %s",
                self._provider,
                error or "timed out",
            )
            return error
        except Exception as error:
            logger.exception("the fetch of an access token for %s failed", self._provider)
            return error
        lifetime_seconds = token.lifetime_seconds
        margin_seconds = min(_MARGIN_SECONDS, _MARGIN_SHARE * lifetime_seconds)
        renewal_seconds = min(_RENEWAL_SECONDS, _RENEWAL_SHARE * lifetime_seconds)
        self._headers = token.headers
        self._expires_seconds = began_seconds + lifetime_seconds - margin_seconds
        self._renews_seconds = began_seconds + lifetime_seconds - renewal_seconds
        return None

    def _in_thread(self) -> asyncio.Future[AccessToken]:
        """Fetch in a daemon thread; unlike those of `asyncio.to_thread`, it does not delay the end of the process."""
        outcome: Future[AccessToken] = Future()
        outcome.set_running_or_notify_cancel()

        def run() -> None:
            try:
                outcome.set_result(self._fetch())
            except Exception as error:  # noqa: BLE001 - raised where the outcome is awaited
                outcome.set_exception(error)

        threading.Thread(target=run, name=f"token of {self._provider}", daemon=True).start()
        return asyncio.wrap_future(outcome)
