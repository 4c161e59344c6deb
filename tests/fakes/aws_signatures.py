"""Checks AWS's signatures as AWS does, from its description, without the driver."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from secrets import token_hex
from urllib.parse import quote

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>\w+)/(?P<scope>[^,]+),"
    r" ?SignedHeaders=(?P<names>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Keys:
    """Credentials; without a token they are a user's own."""

    access_key: str
    secret: str
    token: str | None = None
    expires_at: datetime | None = None


class Refused(Exception):
    """A signature that AWS would not accept.

    Attributes:
        code: AWS's name of the error.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class IssuedKeys:
    """The credentials that are valid."""

    _keys: dict[str, Keys] = field(default_factory=dict)
    _revoked: set[str] = field(default_factory=set)

    def issue(self, *, seconds: float | None = None) -> Keys:
        """Return new credentials; temporary ones if they are valid for a number of seconds only."""
        keys = Keys(f"AKIA{token_hex(8).upper()}", token_hex(20))
        if seconds is not None:
            # to the second, as AWS writes it
            expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
            keys = Keys(keys.access_key, keys.secret, token_hex(32), expires_at)
        self._keys[keys.access_key] = keys
        return keys

    def revoke(self, *keys: Keys) -> None:
        """Refuse these from now on as expired; without any, all there are."""
        self._revoked |= {each.access_key for each in keys or self._keys.values()}

    def check(
        self,
        headers: Mapping[str, str],
        *,
        method: str,
        raw_path: str,
        body: bytes,
        service: str,
        region: str,
    ) -> Keys:
        """Check a request and return who signed it.

        Raises:
            Refused: It is not signed as it should be.
        """
        lower = {name.lower(): value for name, value in headers.items()}
        match = _AUTHORIZATION.fullmatch(lower.get("authorization", ""))
        if match is None:
            raise Refused("MissingAuthenticationTokenException", "Missing Authentication Token")
        keys = self._keys.get(match["key"])
        if keys is None or lower.get("x-amz-security-token") != keys.token:
            raise Refused(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        now = datetime.now(UTC)
        if keys.access_key in self._revoked or (keys.expires_at and keys.expires_at <= now):
            raise Refused(
                "ExpiredTokenException", "The security token included in the request is expired"
            )
        moment = lower["x-amz-date"]
        signed_at = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        names = match["names"].split(";")
        needed = {"host", "x-amz-date"} | ({"x-amz-security-token"} if keys.token else set())
        expected_scope = f"{moment[:8]}/{region}/{service}/aws4_request"
        canonical = "\n".join(
            [
                method,
                quote(raw_path, safe="/~"),
                "",
                *[f"{name}:{' '.join(lower[name].split())}" for name in names],
                "",
                match["names"],
                sha256(body).hexdigest(),
            ]
        )
        text = "\n".join(
            [
                "AWS4-HMAC-SHA256",
                moment,
                match["scope"],
                sha256(canonical.encode()).hexdigest(),
            ]
        )
        key = f"AWS4{keys.secret}".encode()
        for part in match["scope"].split("/"):
            key = hmac.new(key, part.encode(), sha256).digest()
        signature = hmac.new(key, text.encode(), sha256).hexdigest()
        is_valid = (
            signature == match["signature"]
            and match["scope"] == expected_scope
            and names == sorted(names)
            and needed <= set(names)
            and abs(now - signed_at) < _CLOCK_SKEW
        )
        if not is_valid:
            raise Refused(
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided.",
            )
        return keys
