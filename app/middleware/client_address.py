"""Where a request comes from, also through proxies that are trusted to tell."""

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
"""An address, or another name, with or without a port; IPv6 stands in brackets (RFC 7239, section 6)."""
_PAIR = re.compile(r'((?:[^",;]|"(?:[^"\\]|\\.)*")*)([,;]|$)')
"""One pair of a `Forwarded` header, up to the next comma or semicolon that is not quoted."""
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The proxies whose forwarded headers count; without them any client could write such a header."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, names: Sequence[str]) -> "TrustedProxies":
        """Return the proxies of these addresses and networks (CIDR); raises `ValueError` for anything else."""
        return cls(tuple(ip_network(name) for name in names))

    def client_of(self, scope: Scope) -> Address | None:
        """Return the address the request comes from: the last one that is no trusted proxy.

        None when that is not known: on a Unix socket, when what a proxy names is no address, and when
        `X-Forwarded-For` and `Forwarded` name different clients, since a proxy that writes one of them may hand on
        the other as the client wrote it.
        """
        address = peer_of(scope)
        if not self.networks or address is None or not self.trusts(address):
            return address
        chains = [chain for chain in (_x_forwarded_for(scope), _forwarded(scope)) if chain]
        if not chains:
            return address
        client, *others = [self._last_untrusted(chain) for chain in chains]
        return client if all(other == client for other in others) else None

    def trusts(self, address: Address | None) -> bool:
        """Return whether `address` is a trusted proxy's."""
        return address is not None and any(address in network for network in self.networks)

    def _last_untrusted(self, chain: Sequence[str]) -> Address | None:
        address = None
        for node in reversed(chain):
            address = address_of_node(node)
            if not self.trusts(address):
                return address
        return address


def peer_of(scope: Scope) -> Address | None:
    """Return the address at the other end of the connection; None on a Unix socket."""
    client = scope.get("client")
    return _address(client[0]) if client else None


def is_forwarded(scope: Scope) -> bool:
    """Return whether a header says that a proxy handed the request on."""
    return any(
        name.startswith(_PROXY_PREFIX) or name in _PROXY_HEADERS for name, _ in scope["headers"]
    )


def names_client(scope: Scope) -> bool:
    """Return whether the request has a header that `TrustedProxies.client_of` reads."""
    return any(name in (b"x-forwarded-for", b"forwarded") for name, _ in scope["headers"])


@lru_cache(maxsize=1024)
def is_loopback(address: Address | None) -> bool:
    """Return whether it is this machine's own; cached, because the library computes it anew each time."""
    return address is not None and address.is_loopback


@lru_cache(maxsize=1024)
def limited_network(address: Address | None) -> str:
    """Return the network that an address shares its limits with: itself alone, or its /64 in IPv6.

    A host of IPv6 can take any address of its /64.
    """
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), 64), strict=False))
    return str(address)


@lru_cache(maxsize=1024)
def address_of_node(node: str) -> Address | None:
    """Return the address of one entry of `X-Forwarded-For`, or of one `for` of `Forwarded`.

    IPv4 and IPv6, with or without a port, IPv6 with or without brackets. None for anything else, such as `unknown` and
    the made-up names that begin with `_` (RFC 7239, section 6.3).
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
    """Return the `for` of each element of `Forwarded`, oldest first; `unknown` where an element has none."""
    joined = _joined(scope, b"forwarded")
    nodes: list[str] = []
    node = None
    position = 0
    while joined:
        match = _PAIR.match(joined, position)
        if match is None:  # a quotation that does not end
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


def _joined(scope: Scope, wanted: bytes) -> str:
    values = [value for name, value in scope["headers"] if name == wanted]
    return str(b",".join(values), "latin-1")
