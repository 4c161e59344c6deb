"""JSON Web Key Sets (RFC 7517): the public keys that a token issuer publishes."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import jwt
import orjson
from jwt.algorithms import AllowedPublicKeys

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"})
"""Accepted signature algorithms. No symmetric ones, so that a public key cannot be used as a shared secret."""

_RSA_ALGORITHMS = ("RS256", "RS384", "RS512")
_CURVE_ALGORITHMS = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
_MOST_KEYS = 100


class UnusableKeySet(ValueError):
    """Not a key set, or a key set without usable keys."""


class JwkSet:
    """Public keys, each bound to its algorithms; the header of a token cannot choose another algorithm for a key.

    Attributes:
        digest: SHA-256 of the key set.
    """

    def __init__(
        self, keys: Mapping[tuple[str | None, str], AllowedPublicKeys], digest: bytes
    ) -> None:
        self.digest = digest
        self._keys = keys

    @classmethod
    def parse(cls, content: bytes) -> "JwkSet":
        """Parse a JSON Web Key Set; keys that are not for verifying signatures are left out.

        Raises:
            UnusableKeySet: It is not a key set, or no usable key is left.
        """
        try:
            listed = orjson.loads(content)["keys"]
        except (ValueError, KeyError, TypeError) as exc:
            raise UnusableKeySet("not a key set") from exc
        if not isinstance(listed, list):
            raise UnusableKeySet("not a key set")
        keys: dict[tuple[str | None, str], AllowedPublicKeys] = {}
        for jwk in listed[:_MOST_KEYS]:
            for kid, algorithm, key in _usable(jwk):
                keys.setdefault((kid, algorithm), key)
        if not keys:
            raise UnusableKeySet("no key in the set can be used")
        return cls(keys, hashlib.sha256(content).digest())

    def find(self, kid: str | None, algorithm: str) -> AllowedPublicKeys | None:
        """Return the key `kid` if it supports `algorithm`; without `kid`, the only key that does."""
        if kid is not None:
            return self._keys.get((kid, algorithm))
        candidates = [key for (_, serves), key in self._keys.items() if serves == algorithm]
        return candidates[0] if len(candidates) == 1 else None


def _usable(jwk: Any) -> Iterator[tuple[str | None, str, AllowedPublicKeys]]:
    """Yield id, algorithm and key for each algorithm of a JWK."""
    if not isinstance(jwk, dict) or not _is_for_verifying(jwk):
        return
    kid = jwk.get("kid")
    algorithms = _algorithms_of(jwk)
    if not algorithms or not isinstance(kid, str | None):
        return
    try:
        key = jwt.PyJWK(jwk, algorithms[0]).key
    except jwt.PyJWTError:
        return
    for algorithm in algorithms:
        yield kid, algorithm, key


def _is_for_verifying(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )


def _algorithms_of(jwk: dict[str, Any]) -> tuple[str, ...]:
    if jwk.get("kty") == "RSA":
        possible: tuple[str, ...] = _RSA_ALGORITHMS
    else:
        possible = _CURVE_ALGORITHMS.get((str(jwk.get("kty")), str(jwk.get("crv"))), ())
    named = jwk.get("alg")
    return (
        possible
        if named is None
        else tuple(algorithm for algorithm in possible if algorithm == named)
    )
