"""Tokens of an OIDC issuer (RFC 7519, checked as RFC 8725 asks)."""

import hashlib
from dataclasses import dataclass
from typing import Any

import jwt

from domain.entities.caller import (
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
_PYJWT = jwt.PyJWT(options={"enforce_minimum_key_length": True})
"""Checks times, issuer, audience and signature; refuses RSA keys below 2048 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What a token has to say.

    Attributes:
        issuer: Its `iss`, exactly.
        audience: One of its `aud`.
        user_claim: Where it names the user.
        leeway_seconds: By how much clocks may differ; 60 at the most.
    """

    issuer: str
    audience: str
    user_claim: str = "sub"
    leeway_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class _Checked:
    caller: Caller
    keys: JwkSet
    holds_until_milliseconds: float


class TokenVerifier:
    """Tells who shows a token. Each is checked once, then known by the SHA-256 of all of it until it expires."""

    def __init__(self, rules: TokenRules, jwks: Jwks, clock: Clock) -> None:
        self._rules = rules
        self._jwks = jwks
        self._clock = clock
        self._checked: dict[bytes, _Checked] = {}

    def known_caller(self, token: bytes) -> Caller | None:
        """Return who shows `token` where it was checked before and still holds; else None."""
        checked = self._checked.get(hashlib.sha256(token).digest())
        if checked is None or checked.keys is not self._jwks.keys or self._has_expired(checked):
            return None
        return checked.caller

    async def authenticate(self, token: bytes) -> Caller:
        """Return who shows `token`: its user, who has all scopes on themself.

        Raises:
            Unauthenticated: It does not hold.
            AuthUnavailable: It may hold, but the issuer's keys are not known.
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
        return self._clock.now_milliseconds() >= checked.holds_until_milliseconds

    async def _check(self, token: bytes) -> _Checked:
        kid, algorithm = _selection(token)
        keys = self._jwks.keys
        key = None if keys is None else keys.find(kid, algorithm)
        if key is None:
            await self._jwks.look_again()
            keys = self._jwks.keys
            key = None if keys is None else keys.find(kid, algorithm)
        if keys is None:
            raise AuthUnavailable
        if key is None:
            if self._jwks.degraded is not None:
                raise AuthUnavailable  # the issuer may have a new key that we cannot see
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
        holds_until_seconds = int(claims["exp"]) + self._rules.leeway_seconds
        return _Checked(self._caller(claims), keys, holds_until_seconds * 1000)

    def _caller(self, claims: dict[str, Any]) -> Caller:
        subject = claims[self._rules.user_claim]
        if not isinstance(subject, str) or not subject:
            raise Unauthenticated(were_given=True)  # it names no user
        user_id = to_user_id(subject)
        if user_id == subject and is_derived_user_id(subject):
            # Else whoever can choose a subject could choose the id that another subject was given.
            user_id = derived_user_id(subject)
        principal = f"user:{user_id}"
        return Caller(
            principal=principal, user_id=user_id, scopes=frozenset(Scope), rate_limit_key=principal
        )


def _selection(token: bytes) -> tuple[str | None, str]:
    """Return which key and algorithm the header names.

    Whatever else it carries, such as `jku`, `jwk`, `x5u` or `x5c`, is not looked at. `crit` means that something else
    must be, so that is refused.

    Raises:
        Unauthenticated: It is no token, or not one of a kind we take.
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
