"""The HTTP requests of google-auth, by the standard library: without proxies, cookies and redirects."""

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from google.auth.exceptions import TransportError
from google.auth.transport import Request, Response

_TIMEOUT_SECONDS = 5.0
_MOST_BYTES = 1024 * 1024


class DirectRequest(Request):
    """Sends a request over a connection of its own; blocks."""

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> Response:
        """Return the response, whatever its status.

        Args:
            url: Of any host: the credentials name it.
            method: The method.
            body: The body; None sends none.
            headers: The headers.
            timeout: In seconds, for each read; at most 5.
            options: Other options of google-auth's transports; ignored.

        Raises:
            TransportError: There is no response.
        """
        parts = urlsplit(url)
        seconds = min(timeout or _TIMEOUT_SECONDS, _TIMEOUT_SECONDS)
        connection_type = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = connection_type(parts.hostname or "", parts.port, timeout=seconds)
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        try:
            connection.request(method, target, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return _Response(response.status, names, response.read(_MOST_BYTES))
        except (OSError, HTTPException) as exc:
            message = f"no response of the token server: {type(exc).__name__}"
            raise TransportError(message) from exc  # type: ignore[no-untyped-call]
        finally:
            connection.close()


class _Response(Response):
    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self._status = status
        self._headers = headers
        self._data = data

    @property
    def status(self) -> int:
        return self._status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    @property
    def data(self) -> bytes:
        return self._data
