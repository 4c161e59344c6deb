"""The address of a client behind proxies."""

import pytest

from app.middleware.client_address import TrustedProxies, limited_network

PROXY = "10.0.0.1"


def client(forwarded: dict[str, str] | list[tuple[str, str]], peer: str = PROXY) -> str:
    """The address found, as it is limited, behind a proxy of 10.0.0.0/8."""
    pairs = forwarded.items() if isinstance(forwarded, dict) else forwarded
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    scope = {"client": (peer, 1), "headers": headers}
    return limited_network(
        TrustedProxies.from_names(("10.0.0.0/8", "fd00::/8")).client_address(scope)
    )


FORMS = [
    ("203.0.113.7", "203.0.113.7"),
    ("203.0.113.7:4711", "203.0.113.7"),
    ("2001:db8::7", "2001:db8::/64"),
    ("[2001:db8::7]", "2001:db8::/64"),
    ("[2001:db8::7]:4711", "2001:db8::/64"),
    ("[2001:db8::7]:_hidden", "2001:db8::/64"),
    ("::ffff:203.0.113.7", "203.0.113.7"),
    ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
    ("fe80::7%eth0", "fe80::/64"),
]
NO_ADDRESS = [
    "unknown",
    "_hidden",
    "_hidden:80",
    "203.0.113.7:",
    "203.0.113.7:123456",
    "a.example",
    "1:2",
    "[1.2",
    "é",
]


@pytest.mark.seen("C3")
@pytest.mark.parametrize(("form", "expected"), FORMS)
@pytest.mark.parametrize("before", ["", "6.6.6.6, ", "unknown, "])
def test_every_form_of_an_address_in_x_forwarded_for_is_read(
    form: str, expected: str, before: str
) -> None:
    assert client({"X-Forwarded-For": before + form}) == expected
    assert client({"X-Forwarded-For": f"{before}{form}, 10.1.1.1:5, [fd00::1]:6"}) == expected


@pytest.mark.seen("C3")
@pytest.mark.parametrize(("form", "expected"), FORMS)
@pytest.mark.parametrize(
    "template",
    [
        'for="{}"',
        'For="{}";proto=https;by=10.0.0.1',
        'proto=https; FOR = "{}"',
        'for=6.6.6.6, for="{}"',
        'for="a, b; c", for="{}"; host="x,y"',
        'for="{}", for=10.2.2.2, for="[fd00::1]:6"',
    ],
)
def test_every_form_of_an_address_in_forwarded_is_read(
    form: str, expected: str, template: str
) -> None:
    assert client({"Forwarded": template.format(form)}) == expected


@pytest.mark.seen("C3")
@pytest.mark.parametrize("form", NO_ADDRESS)
def test_what_is_no_address_is_an_unknown_client_and_never_the_one_before_it(form: str) -> None:
    assert client({"X-Forwarded-For": f"127.0.0.1, {form}"}) == "None"
    assert client({"Forwarded": f'for=127.0.0.1, for="{form}"'}) == "None"


@pytest.mark.parametrize("broken", ['for="203.0.113.7', "for=127.0.0.1, proto=http", "203.0.113.7"])
def test_a_forwarded_header_that_names_no_client_leaves_it_unknown(broken: str) -> None:
    assert client({"Forwarded": broken}) == "None"


def test_several_headers_are_one_list() -> None:
    several = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "203.0.113.7:1")]
    assert client(several) == "203.0.113.7"
    assert client([("Forwarded", "for=6.6.6.6"), ("Forwarded", "for=203.0.113.7")]) == "203.0.113.7"


def test_two_headers_that_disagree_leave_the_client_unknown() -> None:
    """A proxy that writes one of them may hand on the other as the client wrote it."""
    agreed = {"X-Forwarded-For": "203.0.113.7:1", "Forwarded": "for=203.0.113.7"}
    assert client(agreed) == "203.0.113.7"
    assert client({**agreed, "Forwarded": "for=127.0.0.1"}) == "None"
    assert client({**agreed, "X-Forwarded-For": "127.0.0.1"}) == "None"


def test_only_a_trusted_proxy_is_believed() -> None:
    told = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
    assert client(told, peer="192.0.2.1") == "192.0.2.1"
    assert client({}, peer=PROXY) == PROXY


@pytest.mark.parametrize("header", ["for=1," * 2700, ";" * 16_000, '"' * 16_000, '"\\' * 8_000])
def test_a_long_header_is_read_in_one_pass(header: str) -> None:
    client({"Forwarded": header})
