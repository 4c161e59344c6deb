"""Path prefix under which a proxy publishes the service."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from app.middleware.client_address import TrustedProxies, peer_address
from app.requests.root_path import LACKS_SLASH, ROOT_PATH

PATTERN = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*", re.ASCII)
"""Segments that need no escaping and have no special meaning; no `//`, which would begin a URL of another host."""

_HEADER = b"x-forwarded-prefix"


class RootPath:
    """Removes `root_path` from the paths of requests, and stores the prefix that clients see for `root_path_of`.

    Paths without the prefix stay as they are, so that proxies that remove it, and probes that bypass the proxy, work
    too. If no root path is configured, the `X-Forwarded-Prefix` of a trusted proxy is stored. This header never changes
    the requested resource, since a proxy may forward a header that the client sent.
    """

    def __init__(self, app: ASGIApp, root_path: str, proxies: TrustedProxies) -> None:
        self._app = app
        self._root_path = root_path
        self._start = f"{root_path}/"
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._root_path:
                self._remove_prefix(scope)
            elif self._proxies.trusts(peer_address(scope)):
                scope.setdefault("state", {})[ROOT_PATH] = _forwarded_prefix(scope)
        await self._app(scope, receive, send)

    def _remove_prefix(self, scope: Scope) -> None:
        scope.setdefault("state", {})[ROOT_PATH] = self._root_path
        path = scope["path"]
        if path.startswith(self._start):
            scope["path"] = path[len(self._root_path) :]
        elif path == self._root_path:
            scope["path"] = "/"
            scope["state"][LACKS_SLASH] = True


def _forwarded_prefix(scope: Scope) -> str:
    """Return the prefixes that the proxies removed, joined; empty if one of them does not match `PATTERN`."""
    prefixes = [
        part.strip().rstrip("/")
        for name, value in scope["headers"]
        if name == _HEADER
        for part in str(value, "latin-1").split(",")
    ]
    joined = "".join(prefixes)
    return joined if PATTERN.fullmatch(joined) else ""
