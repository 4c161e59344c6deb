"""AWS's signature, version 4, of POST requests without a query.

The driver's own signer is for any request, and costs eight times as much (`python -m bench.bedrock`).
"""

import hmac
import time
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import quote

from botocore.credentials import ReadOnlyCredentials
from yarl import URL

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "bedrock"
_TOKEN = "X-Amz-Security-Token"  # noqa: S105 - the name of a header


class Signature:
    """Signs requests of one region.

    Args:
        region: The region whose service receives the requests.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._key = b""
        self._key_of: tuple[str | None, str] = ("", "")

    def headers(
        self,
        url: URL,
        content_type: str,
        body: bytes,
        credentials: ReadOnlyCredentials,
        *,
        at_seconds: float,
    ) -> Mapping[str, str]:
        """Return the headers that sign a request.

        Args:
            url: As it is sent, without a query.
            content_type: As it is sent.
            body: As it is sent.
            credentials: Of the signer.
            at_seconds: The time, in seconds since 1970.
        """
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_seconds))
        token = credentials.token
        canonical = [
            "POST",
            quote(url.raw_path, safe="/~"),
            "",
            f"content-type:{content_type}",
            f"host:{host_of(url)}",
            f"x-amz-date:{moment}",
        ]
        names = "content-type;host;x-amz-date"
        signed = {"X-Amz-Date": moment}
        if token:
            canonical.append(f"x-amz-security-token:{token}")
            names += ";x-amz-security-token"
            signed[_TOKEN] = token
        canonical += ["", names, sha256(body).hexdigest()]
        scope = f"{moment[:8]}/{self._region}/{_SERVICE}/aws4_request"
        digest = sha256("\n".join(canonical).encode()).hexdigest()
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}"
        key = self._signing_key(credentials.secret_key, moment[:8])
        signature = hmac.digest(key, text.encode(), sha256).hex()
        signed["Authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope},"
            f" SignedHeaders={names}, Signature={signature}"
        )
        return signed

    def _signing_key(self, secret: str | None, day: str) -> bytes:
        """Return the key of a day, which is derived once."""
        if self._key_of != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, _SERVICE, "aws4_request"):
                key = hmac.digest(key, part.encode(), sha256)
            self._key, self._key_of = key, (secret, day)
        return self._key


def host_of(url: URL) -> str:
    """Return the header `Host` of a request."""
    host = url.host_subcomponent or ""
    return host if url.is_default_port() else f"{host}:{url.port}"
