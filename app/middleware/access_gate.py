"""Checks host, client address and credentials before a request is read."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from starlette.types import ASGIApp, Receive, Scope, Send

from app.middleware.client_address import (
    TrustedProxies,
    has_client_address,
    is_forwarded,
    is_loopback,
    limited_network,
    peer_address,
)
from app.problems.error_handlers import error_response, problem_response
from app.problems.problem_table import ProblemKind
from domain.entities.caller import ANONYMOUS, Caller
from domain.exceptions import (
    AuthUnavailable,
    DomainError,
    Forbidden,
    RateLimited,
    Unauthenticated,
)
from domain.interfaces.credentials import Authenticator
from domain.interfaces.rate_limiter import RateLimiter

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_PROBED = "/health/"
_PUBLIC = frozenset({"/", "/docs", "/openapi.json", "/metrics", "/favicon.ico"})
_PUBLIC_FOLDERS = ("/docs/", "/console/")

_MESSAGES, _MODELS = "/v1/messages", "/v1/models"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """Rules for accepting requests.

    Attributes:
        any_client: Accept clients that are not on this machine.
        hosts: Accepted host names; empty accepts any.
        needs_credentials: Callers must authenticate.
        proxies: Proxies whose forwarded headers are trusted.
    """

    any_client: bool
    hosts: frozenset[str]
    needs_credentials: bool = False
    proxies: TrustedProxies = field(default_factory=TrustedProxies)

    @classmethod
    def without_authentication(
        cls,
        *,
        allow_anonymous: bool,
        allowed_hosts: tuple[str, ...],
        trusted_proxies: tuple[str, ...] = (),
    ) -> "GateRules":
        """Return the rules for a service without authentication.

        Only clients on this machine are accepted, under a loopback host name. This excludes the network, and web pages
        whose host name resolves to this machine (DNS rebinding). `allow_anonymous` accepts all clients.
        """
        hosts = frozenset(host.lower() for host in allowed_hosts)
        proxies = TrustedProxies.from_names(trusted_proxies)
        if allow_anonymous:
            return cls(any_client=True, hosts=hosts and hosts | LOOPBACK_HOSTS, proxies=proxies)
        return cls(any_client=False, hosts=hosts | LOOPBACK_HOSTS, proxies=proxies)

    @classmethod
    def with_authentication(
        cls, *, allowed_hosts: tuple[str, ...], trusted_proxies: tuple[str, ...] = ()
    ) -> "GateRules":
        """Return the rules for a service where every request needs a key or a token; clients may be anywhere."""
        hosts = frozenset(host.lower() for host in allowed_hosts)
        return cls(
            any_client=True,
            hosts=hosts and hosts | LOOPBACK_HOSTS,
            needs_credentials=True,
            proxies=TrustedProxies.from_names(trusted_proxies),
        )


class AccessGate:
    """Applies the rules to requests, and sets `caller` in the scope's state. Health probes are exempt.

    Decisions use `scope["path"]`, as the router does, never a URL built from client input.

    Invalid credentials count against the client's address. After too many of them, credentials from this address that
    are not in the authenticator's cache are refused without a check.
    """

    def __init__(
        self,
        app: ASGIApp,
        rules: GateRules,
        problem_of: Callable[[DomainError], ProblemKind],
        authenticator: Callable[[], Authenticator | None] = lambda: None,
        limiter: Callable[[], RateLimiter | None] = lambda: None,
    ) -> None:
        self._app = app
        self._rules = rules
        self._problem_of = problem_of
        self._authenticator = authenticator
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(_PROBED):
            try:
                self._check_client_and_host(scope)
                if not self._rules.needs_credentials:
                    scope["state"]["caller"] = self._anonymous(scope)
                elif not _is_public(scope["path"]):
                    scope["state"]["caller"] = await self._caller(scope)
            except RateLimited as error:
                await error_response(error, scope)(scope, receive, send)
                return
            except (Forbidden, Unauthenticated, AuthUnavailable) as error:
                response = problem_response(self._problem_of(error), scope)
                if isinstance(error, Unauthenticated):
                    response.headers["WWW-Authenticate"] = (
                        'Bearer error="invalid_token"' if error.were_given else "Bearer"
                    )
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check_client_and_host(self, scope: Scope) -> None:
        rules = self._rules
        if not rules.any_client:
            if is_forwarded(scope) and not rules.proxies.trusts(peer_address(scope)):
                raise Forbidden(Forbidden.PROXY)
            if not self._is_on_this_machine(scope):
                raise Forbidden(Forbidden.CLIENT)
        if rules.hosts and _host(scope) not in rules.hosts:
            raise Forbidden(Forbidden.HOST)

    def _anonymous(self, scope: Scope) -> Caller:
        """Return the anonymous caller; unless it is on this machine, limits apply to its address."""
        if not self._rules.any_client or self._is_on_this_machine(scope):
            return ANONYMOUS
        address = self._rules.proxies.client_address(scope)
        return replace(ANONYMOUS, rate_limit_key=f"address:{limited_network(address)}")

    async def _caller(self, scope: Scope) -> Caller:
        authenticator = self._authenticator()
        if authenticator is None:
            raise AuthUnavailable
        credentials = _credentials(scope)
        caller = authenticator.known_caller(credentials)
        if caller is not None:
            return caller
        limiter = None if credentials is None else self._limiter()
        if limiter is None:
            return await authenticator.authenticate(credentials)
        name = f"credentials:{limited_network(self._rules.proxies.client_address(scope))}"
        status = limiter.status(name)
        if not status.remaining:
            raise RateLimited(status.reset_seconds, "credentials")
        try:
            return await authenticator.authenticate(credentials)
        except Unauthenticated:
            await _count(limiter, name)
            raise

    def _is_on_this_machine(self, scope: Scope) -> bool:
        if not is_loopback(peer_address(scope)):
            return False  # a loopback address forwarded by a remote proxy is that of the proxy's machine
        proxies = self._rules.proxies
        if not proxies.networks:
            return True
        if is_forwarded(scope) and not has_client_address(scope):
            return False  # a proxy forwarded the request without the client's address
        return is_loopback(proxies.client_address(scope))


async def _count(limiter: RateLimiter, name: str) -> None:
    """Count one completed request of `name`. Concurrent requests may exceed the limit."""
    with suppress(RateLimited):
        await limiter.admit(name)
        limiter.release(name)


def _credentials(scope: Scope) -> bytes | None:
    """Return the value of the Authorization header, or the equivalent of another one; None without any.

    Raises:
        Unauthenticated: There is more than one.
    """
    headers = scope["headers"]
    names = [name for name, _ in headers]
    if b"authorization" in names:
        if names.count(b"authorization") > 1:
            raise Unauthenticated(were_given=True)
        value: bytes = headers[names.index(b"authorization")][1]
        return value
    if not _takes_api_key(scope):
        return None
    keys = [value for name, value in headers if name == b"x-api-key"]
    if len(keys) > 1:
        raise Unauthenticated(were_given=True)
    return b"Bearer " + keys[0] if keys else None


def _is_public(path: str) -> bool:
    return path in _PUBLIC or path.startswith(_PUBLIC_FOLDERS)


def _host(scope: Scope) -> str:
    """Return the Host header without its port; empty if there is none or more than one."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return ""
    host = str(hosts[0], "latin-1").lower()
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit():
        return name
    return host


def _takes_api_key(scope: Scope) -> bool:
    """Return whether the key may also be in `x-api-key`, as clients of Anthropic's API send it.

    They read the list of models too, which is in that API's format for them.
    """
    path: str = scope["path"]
    if path == _MESSAGES or path.startswith(_MESSAGES + "/"):
        return True
    if path != _MODELS and not path.startswith(_MODELS + "/"):
        return False
    return any(name == b"anthropic-version" for name, _ in scope["headers"])
