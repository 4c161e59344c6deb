"""Address of the client, also behind trusted proxies."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

Address = IPv4Address | IPv6Address

_PROXY_PREFIX = b"x-forwarded-"
_PROXY_HEADERS = frozenset(
    {
        b"forwarded",
        b"via",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-forwarded-for",
        b"true-client-ip",
        b"cf-connecting-ip",
        b"fastly-client-ip",
    }
)
_PORT = r"(?::(?:\d{1,5}|_[A-Za-z0-9._-]+))?"
_NODE = re.compile(rf"\[([^\[\]]+)\]{_PORT}|([^:\[\]]+){_PORT}", re.ASCII)
"""An address or an identifier, with or without a port; IPv6 in brackets (RFC 7239, section 6)."""
_PAIR = re.compile(r'((?:[^",;]|"(?:[^"\\]|\\.)*")*)([,;]|$)')
"""One pair of a `Forwarded` header, up to the next comma or semicolon that is not quoted."""
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Proxies whose forwarded headers are used. Those of other senders are ignored, since any client can forge them."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def from_names(cls, names: Sequence[str]) -> "TrustedProxies":
        """Return the proxies with these addresses and networks (CIDR); raises `ValueError` for anything else."""
        return cls(tuple(ip_network(name) for name in names))

    def client_address(self, scope: Scope) -> Address | None:
        """Return the client's address: the last one in the chain that is not a trusted proxy.

        None if it is unknown: on a Unix socket, if a proxy names something other than an address, and if
        `X-Forwarded-For` and `Forwarded` name different clients, since a proxy that sets one of them may forward the
        client's version of the other.
        """
        address = peer_address(scope)
        if not self.networks or address is None or not self.trusts(address):
            return address
        chains = [chain for chain in (_x_forwarded_for(scope), _forwarded(scope)) if chain]
        if not chains:
            return address
        client, *others = [self._last_untrusted(chain) for chain in chains]
        return client if all(other == client for other in others) else None

    def trusts(self, address: Address | None) -> bool:
        """Return whether `address` belongs to a trusted proxy."""
        return address is not None and any(address in network for network in self.networks)

    def _last_untrusted(self, chain: Sequence[str]) -> Address | None:
        address = None
        for node in reversed(chain):
            address = node_address(node)
            if not self.trusts(address):
                return address
        return address


def peer_address(scope: Scope) -> Address | None:
    """Return the remote address of the connection; None on a Unix socket."""
    client = scope.get("client")
    return _address(client[0]) if client else None


def is_forwarded(scope: Scope) -> bool:
    """Return whether the request has a header that proxies add."""
    return any(
        name.startswith(_PROXY_PREFIX) or name in _PROXY_HEADERS for name, _ in scope["headers"]
    )


def has_client_address(scope: Scope) -> bool:
    """Return whether the request has a header that `TrustedProxies.client_address` reads."""
    return any(name in (b"x-forwarded-for", b"forwarded") for name, _ in scope["headers"])


@lru_cache(maxsize=1024)
def is_loopback(address: Address | None) -> bool:
    """Return whether it is a loopback address; cached, because `ipaddress` computes it on every access."""
    return address is not None and address.is_loopback


@lru_cache(maxsize=1024)
def limited_network(address: Address | None) -> str:
    """Return the network to which the address's limits apply: the address itself, or for IPv6 its /64.

    An IPv6 host can use any address of its /64.
    """
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), 64), strict=False))
    return str(address)


@lru_cache(maxsize=1024)
def node_address(node: str) -> Address | None:
    """Return the address in one entry of `X-Forwarded-For`, or in one `for` of `Forwarded`.

    IPv4 and IPv6, with or without a port, IPv6 with or without brackets. None for anything else, such as `unknown` and
    obfuscated identifiers, which begin with `_` (RFC 7239, section 6.3).
    """
    address = _address(node)
    if address is None and (match := _NODE.fullmatch(node)):
        address = _address(match[1] or match[2])
    return address


@lru_cache(maxsize=1024)
def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _x_forwarded_for(scope: Scope) -> list[str]:
    joined = _joined(scope, b"x-forwarded-for")
    return [node.strip(' \t"') for node in joined.split(",")] if joined else []


def _forwarded(scope: Scope) -> list[str]:
    """Return the `for` of each element of `Forwarded`, first hop first; `unknown` for elements without one."""
    joined = _joined(scope, b"forwarded")
    nodes: list[str] = []
    node = None
    position = 0
    while joined:
        match = _PAIR.match(joined, position)
        if match is None:  # an unterminated quoted string
            return [_UNKNOWN]
        name, _, value = match[1].partition("=")
        if node is None and name.strip().lower() == "for":
            node = _unquoted(value.strip())
        if match[2] != ";":
            nodes.append(node or _UNKNOWN)
            node = None
        if not match[2]:
            break
        position = match.end()
    return nodes


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _joined(scope: Scope, header: bytes) -> str:
    values = [value for name, value in scope["headers"] if name == header]
    return str(b",".join(values), "latin-1")
