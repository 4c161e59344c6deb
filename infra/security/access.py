"""Opens the configured authentication."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from yarl import URL

from domain.interfaces.clock import Clock
from domain.interfaces.credentials import Authenticator
from domain.interfaces.health import Degraded
from infra.configuration import ConfigurationError
from infra.security.api_keys.cache import open_api_key_cache
from infra.security.bearer import BearerAuthenticator, Tokens
from infra.settings.access import AccessSettings


@dataclass(frozen=True, slots=True)
class Access:
    """The configured authentication.

    Attributes:
        authenticator: Identifies callers; None if authentication is off.
        degraded: Returns its components that do not work.
    """

    authenticator: Authenticator | None
    degraded: Callable[[], Sequence[Degraded]]


@asynccontextmanager
async def open_access(settings: AccessSettings, clock: Clock) -> AsyncIterator[Access]:
    """Open the methods named in `AUTHENTICATION`. An unavailable token issuer or key file is not an error.

    Raises:
        ConfigurationError: A setting is missing or not valid.
    """
    if settings.authentication == "none":
        yield Access(authenticator=None, degraded=tuple)
        return
    methods = settings.authentication.split(",")
    keys = None
    tokens = None
    parts: list[Callable[[], Sequence[Degraded]]] = []
    async with AsyncExitStack() as stack:
        if "api_keys" in methods:
            keys = await stack.enter_async_context(
                open_api_key_cache(
                    settings.data_dir,
                    lines=settings.api_keys,
                    lines_file=settings.api_keys_file,
                    stale_seconds=settings.keys_stale_seconds,
                    clock=clock,
                )
            )
            parts.append(keys.degraded)
        if "jwt" in methods:
            tokens, degradations = await _open_tokens(settings, clock, stack)
            parts.append(degradations)
        yield Access(
            authenticator=BearerAuthenticator(keys=keys, tokens=tokens),
            degraded=lambda: [component for part in parts for component in part()],
        )


async def _open_tokens(
    settings: AccessSettings, clock: Clock, stack: AsyncExitStack
) -> tuple[Tokens, Callable[[], Sequence[Degraded]]]:
    issuer, audience, url = settings.jwt_issuer, settings.jwt_audience, settings.jwks_url
    if not issuer or not audience or not url:
        raise ConfigurationError("AUTHENTICATION=jwt needs JWT_ISSUER, JWT_AUDIENCE and JWKS_URL")
    if not _is_http_url(url):
        raise ConfigurationError("JWKS_URL is not an http or https URL")
    # PyJWT and cryptography are imported only if tokens are configured.
    from infra.security.jwks import open_jwks
    from infra.security.jwt_tokens import TokenRules, TokenVerifier

    jwks = await stack.enter_async_context(open_jwks(url, clock))
    rules = TokenRules(
        issuer=issuer,
        audience=audience,
        user_claim=settings.jwt_user_claim,
        leeway_seconds=settings.jwt_leeway_seconds,
    )
    return TokenVerifier(rules, jwks, clock), jwks.degradations


def _is_http_url(text: str) -> bool:
    try:
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.host)
