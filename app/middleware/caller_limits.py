"""Limits the requests of each caller before a request is read."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems.error_handlers import problem_response, whole_retry_seconds
from app.problems.problem_table import RATE_LIMITED
from app.requests.caller_slot import set_count_as_reader
from domain.entities.caller import Caller
from domain.exceptions import RateLimited
from domain.interfaces.rate_limiter import RateLimiter, RateLimitStatus


class CallerLimits:
    """Limits the rate and the concurrency of each caller's requests, and adds rate limit headers to the responses.

    The headers follow the IETF draft draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` contains the limit,
    `RateLimit` the remaining requests.

    A request whose response follows a background answer may count among the readers of its caller instead of the
    concurrent requests, up to a limit of their own.
    """

    def __init__(
        self,
        app: ASGIApp,
        limiter: Callable[[], RateLimiter | None],
        *,
        requests_per_minute: int,
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._policy = b'"requests";q=%d;w=60' % requests_per_minute

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = _rate_limit_key(scope)
        limiter = None if name is None else self._limiter()
        if name is None or limiter is None:
            await self._app(scope, receive, send)
            return
        try:
            status = await limiter.admit(name)
        except RateLimited as error:
            scope["state"]["limit"] = error.limit
            response = problem_response(RATE_LIMITED, scope)
            response.headers["Retry-After"] = str(whole_retry_seconds(error.retry_after_seconds))
            response.raw_headers += self._headers(limiter.status(name))
            await response(scope, receive, send)
            return

        async def send_with_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers(status)]
            await send(message)

        release = limiter.release

        def count_as_reader() -> None:
            nonlocal release
            if limiter.count_as_reader(name):
                release = limiter.release_reader

        set_count_as_reader(scope, count_as_reader)
        try:
            await self._app(scope, receive, send_with_status)
        finally:
            release(name)

    def _headers(self, status: RateLimitStatus) -> list[tuple[bytes, bytes]]:
        remaining = b'"requests";r=%d;t=%d' % (status.remaining, status.reset_seconds)
        return [(b"ratelimit-policy", self._policy), (b"ratelimit", remaining)]


def _rate_limit_key(scope: Scope) -> str | None:
    if scope["type"] != "http":
        return None
    caller: Caller | None = scope["state"].get("caller")
    return None if caller is None else caller.rate_limit_key
