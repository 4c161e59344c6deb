"""Checks of a request's head beyond those of the parser."""

from collections.abc import Iterable
from urllib.parse import unquote

import httptools
from uvicorn._types import HTTPScope

from app.problems.problem_table import MALFORMED_REQUEST
from app.server.error_response import RequestRefused


def complete_scope(scope: HTTPScope, method: bytes, url: bytes, version: str) -> None:
    """Set the fields of the request line in `scope`, whose headers are complete.

    Raises:
        RequestRefused: Two servers could interpret the head differently (RFC 9112, sections 3.2, 6.1 and 11.2): another
            version of HTTP, not exactly one Host, a transfer coding besides plain chunked, a URL without a path.
    """
    names = [name for name, _ in scope["headers"]]
    hosts = names.count(b"host")
    if hosts != 1 and (hosts or version == "1.1"):
        raise RequestRefused(MALFORMED_REQUEST)
    if b"transfer-encoding" in names:
        codings = [value for name, value in scope["headers"] if name == b"transfer-encoding"]
        if version == "1.0" or any(coding.lower() != b"chunked" for coding in codings):
            raise RequestRefused(MALFORMED_REQUEST)
    if version != "1.1":
        if version != "1.0":
            raise RequestRefused(MALFORMED_REQUEST)
        scope["http_version"] = version
    parsed_url = httptools.parse_url(url)
    raw_path = parsed_url.path
    if raw_path is None:
        raise RequestRefused(MALFORMED_REQUEST)
    path = raw_path.decode("ascii")
    scope["method"] = method.decode("ascii")
    scope["path"] = unquote(path) if "%" in path else path
    scope["raw_path"] = raw_path
    scope["query_string"] = parsed_url.query or b""


def head_without_upgrade(
    method: bytes, url: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Return the same head without its `Upgrade` header.

    The parser would take the body for data of the other protocol, and then for another request. Java's HttpClient and
    `curl --http2` send this header with ordinary requests.

    Raises:
        RequestRefused: The method is CONNECT, which is meaningless without the upgrade.
    """
    if method == b"CONNECT":
        raise RequestRefused(MALFORMED_REQUEST)
    lines = [b"%s: %s\r\n" % header for header in headers if header[0] != b"upgrade"]
    return b"%s %s HTTP/%s\r\n%s\r\n" % (method, url, version.encode(), b"".join(lines))
