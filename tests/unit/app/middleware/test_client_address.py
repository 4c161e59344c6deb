"""Where a request comes from, and who may say so."""

from ipaddress import ip_address
from typing import Any

import pytest

from app.middleware.client_address import TrustedProxies, limited_network

OURS = TrustedProxies.from_names(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])


def scope(peer: str | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"client": None if peer is None else (peer, 1), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("6.6.6.6", [], "6.6.6.6"),
        ("6.6.6.6", ["127.0.0.1"], "6.6.6.6"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", ["6.6.6.6"], "6.6.6.6"),
        ("10.1.1.1", ["127.0.0.1, 6.6.6.6"], "6.6.6.6"),
        ("10.1.1.1", ["1.2.3.4, 6.6.6.6, 10.2.2.2"], "6.6.6.6"),
        ("10.1.1.1", ["1.2.3.4", "6.6.6.6"], "6.6.6.6"),
        ("10.1.1.1", ["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        ("127.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("fd00::1", ["6.6.6.6"], "6.6.6.6"),
        ("::ffff:10.1.1.1", ["::ffff:6.6.6.6"], "6.6.6.6"),
        ("10.1.1.1", ["unknown"], None),
        ("10.1.1.1", ["6.6.6.6, "], None),
        ("10.1.1.1", ["6.6.6.6:443"], "6.6.6.6"),
        (None, ["6.6.6.6"], None),
        ("testclient", ["6.6.6.6"], None),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy_of_ours(
    peer: str | None, forwarded: list[str], client: str | None
) -> None:
    found = OURS.client_address(scope(peer, *forwarded))
    assert found == (None if client is None else ip_address(client))


def test_without_proxies_nobodys_word_counts() -> None:
    assert TrustedProxies().client_address(scope("10.1.1.1", "6.6.6.6")) == ip_address("10.1.1.1")


@pytest.mark.parametrize("name", ["", "proxy", "10.0.0.1/8", "300.1.1.1"])
def test_what_is_no_network_is_refused(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        TrustedProxies.from_names([name])


def test_a_network_of_ipv6_stands_for_all_its_addresses() -> None:
    one, other = (ip_address(f"2001:db8:0:1::{number}") for number in (1, 2))
    assert limited_network(one) == limited_network(other) == "2001:db8:0:1::/64"
    assert limited_network(ip_address("6.6.6.6")) == "6.6.6.6"
