"""Who is let in before anything is read: the rule for hosts and, without authentication, for clients."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import problem_response
from app.problem_table import ProblemKind
from domain.entities.caller import ANONYMOUS
from domain.exceptions import Forbidden

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OPEN_PREFIX = "/health/"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """Which clients and host names are let in.

    Attributes:
        any_client: Also those that are not on this machine.
        hosts: Names the service answers to; empty answers to any.
    """

    any_client: bool
    hosts: frozenset[str]

    @classmethod
    def without_authentication(
        cls, *, allow_anonymous: bool, allowed_hosts: tuple[str, ...]
    ) -> "GateRules":
        """Return the rules while nobody has to say who they are.

        Open to this machine only, under a loopback name, so that neither the network nor a web page whose name was
        made to point here can use it; `allow_anonymous` opens it to all.
        """
        named = frozenset(host.lower() for host in allowed_hosts)
        if allow_anonymous:
            return cls(any_client=True, hosts=named and named | LOOPBACK_HOSTS)
        return cls(any_client=False, hosts=named | LOOPBACK_HOSTS)


class Gate:
    """Refuses by the rules, and puts the `caller` into the scope's state. Health stays open for probes."""

    def __init__(
        self, app: ASGIApp, rules: GateRules, problem_of: Callable[[Forbidden], ProblemKind]
    ) -> None:
        self._app = app
        self._rules = rules
        self._problem_of = problem_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(_OPEN_PREFIX):
            cause = self._refusal(scope)
            if cause is not None:
                kind = self._problem_of(Forbidden(cause))
                await problem_response(kind, scope)(scope, receive, send)
                return
            scope["state"]["caller"] = ANONYMOUS
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        rules = self._rules
        if not rules.any_client and not _is_loopback(scope.get("client")):
            return Forbidden.CLIENT
        if rules.hosts and _host(scope) not in rules.hosts:
            return Forbidden.HOST
        return None


def _is_loopback(client: tuple[str, int] | None) -> bool:
    if client is None:
        return False
    if client[0] == "127.0.0.1":
        return True
    try:
        address = ip_address(client[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


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
