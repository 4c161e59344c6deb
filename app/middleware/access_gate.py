"""Who is let in before anything is read: hosts, clients, callers."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from starlette.types import ASGIApp, Receive, Scope, Send

from app.middleware.client_address import (
    TrustedProxies,
    is_forwarded,
    is_loopback,
    limited_network,
    names_client,
    peer_of,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """Which clients, host names and callers are let in.

    Attributes:
        any_client: Also those that are not on this machine.
        hosts: Names the service answers to; empty answers to any.
        needs_credentials: A caller has to say who it is.
        proxies: Who may tell a client's address.
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
        """Return the rules while nobody has to say who they are.

        Open to this machine only, under a loopback name, so that neither the network nor a web page whose name was
        made to point here can use it; `allow_anonymous` opens it to all.
        """
        named = frozenset(host.lower() for host in allowed_hosts)
        proxies = TrustedProxies.of(trusted_proxies)
        if allow_anonymous:
            return cls(any_client=True, hosts=named and named | LOOPBACK_HOSTS, proxies=proxies)
        return cls(any_client=False, hosts=named | LOOPBACK_HOSTS, proxies=proxies)

    @classmethod
    def with_authentication(
        cls, *, allowed_hosts: tuple[str, ...], trusted_proxies: tuple[str, ...] = ()
    ) -> "GateRules":
        """Return the rules where every request needs a key or a token; any address may send one."""
        named = frozenset(host.lower() for host in allowed_hosts)
        return cls(
            any_client=True,
            hosts=named and named | LOOPBACK_HOSTS,
            needs_credentials=True,
            proxies=TrustedProxies.of(trusted_proxies),
        )


class Gate:
    """Refuses by the rules, and puts the `caller` into the scope's state. Health stays open for probes.

    It goes by the path that the router goes by, never by a URL put together from what the client sent.

    Credentials that do not hold are counted for the address they come from. When an address has used up its count,
    credentials that would have to be checked are refused unchecked; those that are known to hold are not affected.
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
            if is_forwarded(scope) and not rules.proxies.trusts(peer_of(scope)):
                raise Forbidden(Forbidden.PROXY)
            if not self._is_on_this_machine(scope):
                raise Forbidden(Forbidden.CLIENT)
        if rules.hosts and _host(scope) not in rules.hosts:
            raise Forbidden(Forbidden.HOST)

    def _anonymous(self, scope: Scope) -> Caller:
        """Return the caller nobody knows: without limits on this machine, else limited by its address."""
        if not self._rules.any_client or self._is_on_this_machine(scope):
            return ANONYMOUS
        address = self._rules.proxies.client_of(scope)
        return replace(ANONYMOUS, rate_limit_key=f"address:{limited_network(address)}")

    async def _caller(self, scope: Scope) -> Caller:
        authenticator = self._authenticator()
        if authenticator is None:
            raise AuthUnavailable
        shown = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(shown) > 1:
            raise Unauthenticated(were_given=True)
        credentials = shown[0] if shown else None
        caller = authenticator.known_caller(credentials)
        if caller is not None:
            return caller
        limiter = None if credentials is None else self._limiter()
        if limiter is None:
            return await authenticator.authenticate(credentials)
        name = f"credentials:{limited_network(self._rules.proxies.client_of(scope))}"
        left = limiter.status(name)
        if not left.remaining:
            raise RateLimited(left.reset_seconds, "credentials")
        try:
            return await authenticator.authenticate(credentials)
        except Unauthenticated:
            _count(limiter, name)
            raise

    def _is_on_this_machine(self, scope: Scope) -> bool:
        if not is_loopback(peer_of(scope)):
            return False  # what a proxy elsewhere calls loopback is another machine
        proxies = self._rules.proxies
        if not proxies.networks:
            return True
        if is_forwarded(scope) and not names_client(scope):
            return False  # a proxy was there, and did not say for whom
        return is_loopback(proxies.client_of(scope))


def _count(limiter: RateLimiter, name: str) -> None:
    """Count one request of `name` that is over already; requests sent at the same time may go past the limit."""
    with suppress(RateLimited):
        limiter.admit(name)
        limiter.release(name)


def _is_public(path: str) -> bool:
    return path in _PUBLIC or path.startswith(_PUBLIC_FOLDERS)


def _host(scope: Scope) -> str:
    """Return the one Host header without its port; empty when there is none or more than one."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return ""
    host = str(hosts[0], "latin-1").lower()
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit():
        return name
    return host
