"""A request's head: what the parser lets through and we do not."""

import httptools

from app.problem_table import MALFORMED_REQUEST
from app.server.refusal import Refusal

Headers = list[tuple[bytes, bytes]]

_UPGRADING = frozenset({b"upgrade", b"http2-settings"})


def new_parser(protocol: object) -> httptools.HttpRequestParser:
    """Return a parser that reports to `protocol`."""
    parser = httptools.HttpRequestParser(protocol)
    # What a client sends after its last request does not spoil the answer to that one.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def check_head(url: bytes, version: str, headers: Headers) -> None:
    """Refuse what two servers could read differently (RFC 9112, sections 3.2, 6.1 and 11.2).

    Raises:
        Refusal: Another version of HTTP, not one Host, or a transfer coding besides plain chunked.
    """
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
            raise Refusal(MALFORMED_REQUEST)
    if hosts != 1 and (hosts or version == "1.1"):
        raise Refusal(MALFORMED_REQUEST)
    if version not in ("1.1", "1.0"):
        raise Refusal(MALFORMED_REQUEST)
    if url[:1] != b"/" and httptools.parse_url(url).path is None:
        raise Refusal(MALFORMED_REQUEST)


def head_without_upgrade(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """Return the same head without the wish for another protocol.

    The parser would take the body for that protocol's first words, and then for a request of its own. Java's
    HttpClient and `curl --http2` send this wish with ordinary requests.

    Raises:
        Refusal: A CONNECT, which is nothing but that wish.
    """
    if method == b"CONNECT":
        raise Refusal(MALFORMED_REQUEST)
    lines = [b"%s %s HTTP/%s" % (method, url, version.encode())]
    for name, value in headers:
        if name == b"connection":
            options = [option.strip() for option in value.split(b",")]
            kept = b", ".join(option for option in options if option.lower() not in _UPGRADING)
            lines.append(b"connection: " + kept)
        elif name not in _UPGRADING:
            lines.append(b"%s: %s" % (name, value))
    return b"\r\n".join([*lines, b"", b""])
