"""Where a request comes from, also through proxies that are trusted to tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Whose `X-Forwarded-For` counts; anybody else's is what any client can write."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, names: Sequence[str]) -> "TrustedProxies":
        """Return the proxies of these addresses and networks (CIDR); raises `ValueError` for anything else."""
        return cls(tuple(ip_network(name) for name in names))

    def client_of(self, scope: Scope) -> Address | None:
        """Return the address the request comes from: the last one that is no proxy of ours.

        None when that is not known, as on a Unix socket or when what a proxy tells is no address.
        """
        address = peer_of(scope)
        if not self.networks or address is None or not self._trusts(address):
            return address
        for told in reversed(_forwarded(scope)):
            address = _address(told.strip())
            if address is None or not self._trusts(address):
                return address
        return address

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def peer_of(scope: Scope) -> Address | None:
    """Return who holds the other end of the connection; None on a Unix socket."""
    client = scope.get("client")
    return _address(client[0]) if client else None


@lru_cache(maxsize=1024)
def is_loopback(address: Address | None) -> bool:
    """Return whether it is this machine's own; remembered, because the library works it out anew each time."""
    return address is not None and address.is_loopback


def limited_network(address: Address | None) -> str:
    """Return whom an address stands for when there is nothing else to go by: itself, or its /64 in IPv6."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address)


@lru_cache(maxsize=1024)
def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _forwarded(scope: Scope) -> list[str]:
    values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return str(b",".join(values), "latin-1").split(",") if values else []
