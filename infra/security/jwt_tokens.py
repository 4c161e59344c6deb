"""Verification of tokens of an OIDC issuer (RFC 7519), following RFC 8725."""

import hashlib
from dataclasses import dataclass
from typing import Any

import jwt

from domain.entities.caller import (
    USER_SCOPES,
    Caller,
    Scope,
    derived_user_id,
    is_derived_user_id,
    to_user_id,
)
from domain.exceptions import AuthUnavailable, Unauthenticated
from domain.interfaces.clock import Clock
from infra.security.jwk_set import ALGORITHMS, JwkSet
from infra.security.jwks import Jwks

_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt", "application/jwt"})
_MOST_CACHED = 10_000
_CREDENTIAL = "token"
"""`Interaction.credential` of all tokens; the usage of an installation does not distinguish their users."""
_PYJWT = jwt.PyJWT(options={"enforce_minimum_key_length": True})
"""Verifies times, issuer, audience and signature; rejects RSA keys below 2048 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """Requirements on tokens.

    Attributes:
        issuer: Required `iss`.
        audience: Value required in `aud`.
        user_claim: Claim that contains the user.
        leeway_seconds: Accepted clock difference; at most 60.
    """

    issuer: str
    audience: str
    user_claim: str = "sub"
    leeway_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class _Checked:
    caller: Caller
    keys: JwkSet
    valid_until_milliseconds: float


class TokenVerifier:
    """Authenticates tokens. Each is verified once, then cached by its SHA-256 until it expires."""

    def __init__(self, rules: TokenRules, jwks: Jwks, clock: Clock) -> None:
        self._rules = rules
        self._jwks = jwks
        self._clock = clock
        self._checked: dict[bytes, _Checked] = {}

    def known_caller(self, token: bytes) -> Caller | None:
        """Return the caller if the token was verified before and is still valid; else None."""
        checked = self._checked.get(hashlib.sha256(token).digest())
        if checked is None or checked.keys is not self._jwks.keys or self._has_expired(checked):
            return None
        return checked.caller

    async def authenticate(self, token: bytes) -> Caller:
        """Return the caller of `token`: its user, with all scopes for that user, and `admin:read` if the token names it.

        Raises:
            Unauthenticated: The token is not valid.
            AuthUnavailable: The token may be valid, but the issuer's keys are not known.
        """
        fingerprint = hashlib.sha256(token).digest()
        known = self._checked.get(fingerprint)
        if known is not None and known.keys is self._jwks.keys:
            if self._has_expired(known):
                raise Unauthenticated(were_given=True)
            return known.caller
        checked = await self._check(token)
        if len(self._checked) >= _MOST_CACHED:
            del self._checked[next(iter(self._checked))]
        self._checked[fingerprint] = checked
        return checked.caller

    def _has_expired(self, checked: _Checked) -> bool:
        return self._clock.now_milliseconds() >= checked.valid_until_milliseconds

    async def _check(self, token: bytes) -> _Checked:
        kid, algorithm = _selection(token)
        keys = self._jwks.keys
        key = None if keys is None else keys.find(kid, algorithm)
        if key is None:
            await self._jwks.refresh_for_unknown_key()
            keys = self._jwks.keys
            key = None if keys is None else keys.find(kid, algorithm)
        if keys is None:
            raise AuthUnavailable
        if key is None:
            if self._jwks.degraded is not None:
                raise AuthUnavailable  # the issuer may have a new key that cannot be fetched
            raise Unauthenticated(were_given=True)
        try:
            claims = _PYJWT.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._rules.issuer,
                audience=self._rules.audience,
                leeway=self._rules.leeway_seconds,
                options={"require": ["exp", "iss", "aud", self._rules.user_claim]},
            )
        except jwt.PyJWTError as exc:
            raise Unauthenticated(were_given=True) from exc
        valid_until_seconds = int(claims["exp"]) + self._rules.leeway_seconds
        return _Checked(self._caller(claims), keys, valid_until_seconds * 1000)

    def _caller(self, claims: dict[str, Any]) -> Caller:
        subject = claims[self._rules.user_claim]
        if not isinstance(subject, str) or not subject:
            raise Unauthenticated(were_given=True)  # without a user
        user_id = to_user_id(subject)
        if user_id == subject and is_derived_user_id(subject):
            # Otherwise a subject could be chosen that equals the derived id of another subject.
            user_id = derived_user_id(subject)
        principal = f"user:{user_id}"
        scopes = USER_SCOPES
        if Scope.ADMIN_READ in _named_scopes(claims):
            scopes |= {Scope.ADMIN_READ}
        return Caller(
            principal=principal,
            user_id=user_id,
            scopes=scopes,
            rate_limit_key=principal,
            credential=_CREDENTIAL,
        )


def _named_scopes(claims: dict[str, Any]) -> frozenset[str]:
    """Return the scopes in the claim `scope` (RFC 9068), or in `scp`, as some issuers call it: a text or a list."""
    named: set[str] = set()
    for claim in (claims.get("scope"), claims.get("scp")):
        if isinstance(claim, str):
            named.update(claim.split())
        elif isinstance(claim, list):
            named.update(scope for scope in claim if isinstance(scope, str))
    return frozenset(named)


def _selection(token: bytes) -> tuple[str | None, str]:
    """Return key id and algorithm of the header.

    Other parameters, such as `jku`, `jwk`, `x5u` or `x5c`, are ignored. `crit` declares parameters that must not be
    ignored, so it is rejected.

    Raises:
        Unauthenticated: It is not a token, or of a type that is not accepted.
    """
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as exc:
        raise Unauthenticated(were_given=True) from exc
    algorithm = header.get("alg")
    kind = header.get("typ", "JWT")
    if (
        "crit" in header
        or not isinstance(algorithm, str)
        or algorithm not in ALGORITHMS
        or not isinstance(kind, str)
        or kind.lower() not in _TYPES
    ):
        raise Unauthenticated(were_given=True)
    return header.get("kid"), algorithm
