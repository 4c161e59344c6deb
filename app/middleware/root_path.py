"""The path under which a proxy shows the service."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from app.middleware.client_address import TrustedProxies, peer_of
from app.requests.root_path import LACKS_SLASH, ROOT_PATH

PATTERN = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*", re.ASCII)
"""Segments that need no escaping and that mean the same to every program; no `//`, which would name another host."""

_HEADER = b"x-forwarded-prefix"


class RootPath:
    """Takes `root_path` off the paths of requests, and notes for `root_path_of` which one the client sees.

    A request without it is taken as it is, so that proxies that remove it, and probes that go past the proxy, work too.
    Where no root path is configured, the `X-Forwarded-Prefix` of a trusted proxy is noted. It never changes which
    resource is asked for: a proxy may hand it on as a client wrote it.
    """

    def __init__(self, app: ASGIApp, root_path: str, proxies: TrustedProxies) -> None:
        self._app = app
        self._root_path = root_path
        self._start = f"{root_path}/"
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._root_path:
                self._take_off(scope)
            elif self._proxies.trusts(peer_of(scope)):
                scope.setdefault("state", {})[ROOT_PATH] = _forwarded_prefix(scope)
        await self._app(scope, receive, send)

    def _take_off(self, scope: Scope) -> None:
        scope.setdefault("state", {})[ROOT_PATH] = self._root_path
        path = scope["path"]
        if path.startswith(self._start):
            scope["path"] = path[len(self._root_path) :]
        elif path == self._root_path:
            scope["path"] = "/"
            scope["state"][LACKS_SLASH] = True


def _forwarded_prefix(scope: Scope) -> str:
    """Return the prefixes that the proxies took off, joined; empty when one of them is not a plain path."""
    prefixes = [
        part.strip().rstrip("/")
        for name, value in scope["headers"]
        if name == _HEADER
        for part in str(value, "latin-1").split(",")
    ]
    joined = "".join(prefixes)
    return joined if PATTERN.fullmatch(joined) else ""
