"""Tokens that have to be rejected."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from jwt.algorithms import get_default_algorithms

from tests.fakes.issuer import KEYS, WEAK_KEY, token


def encoded(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(head: dict[str, Any], signature: Callable[[bytes], bytes], **changes: Any) -> bytes:
    """A token made without a library that would refuse to."""
    body = jwt.decode(token(**changes), options={"verify_signature": False})
    signed = f"{encoded(head)}.{encoded(body)}".encode()
    return signed + b"." + encoded(signature(signed)).encode()


def hs256_with(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda signed: hmac.digest(secret, signed, hashlib.sha256)


def es256(signed: bytes) -> bytes:
    """The issuer's own good signature."""
    return get_default_algorithms()["ES256"].sign(signed, KEYS["ES256"])


def weak_rs256(signed: bytes) -> bytes:
    return WEAK_KEY.sign(signed, padding.PKCS1v15(), hashes.SHA256())


def public_pem() -> bytes:
    return (
        KEYS["RS256"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def public_der() -> bytes:
    return (
        KEYS["RS256"]
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


STRANGER = ec.generate_private_key(ec.SECP256R1())


NOW = int(time.time())


BAD: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no token": lambda: b"hello",
    "two parts": lambda: b"a.b",
    "bytes": lambda: b"\xff.\xfe.\xfd",
    "alg none": lambda: by_hand({"alg": "none", "typ": "JWT"}, lambda _: b""),
    "alg None": lambda: by_hand({"alg": "None", "kid": "ES256"}, lambda _: b""),
    "no alg": lambda: by_hand({"typ": "JWT", "kid": "ES256"}, es256),
    "alg a list": lambda: by_hand({"alg": ["ES256"], "kid": "ES256"}, es256),
    "HS256 with the public key as PEM": lambda: by_hand(
        {"alg": "HS256", "kid": "RS256"}, hs256_with(public_pem())
    ),
    "HS256 with the public key as DER": lambda: by_hand(
        {"alg": "HS256", "kid": "RS256"}, hs256_with(public_der())
    ),
    "HS256 with an empty secret": lambda: by_hand({"alg": "HS256"}, hs256_with(b"")),
    "RS256 with another key's name": lambda: token("RS256", headers={"kid": "ES256"}),
    "PS256": lambda: token("PS256", key=KEYS["RS256"], headers={"kid": "RS256"}),
    "a stranger's signature": lambda: token("ES256", key=STRANGER),
    "a cut signature": lambda: token()[:-4],
    "an empty signature": lambda: token().rpartition(b".")[0] + b".",
    "another's claims": lambda: b".".join(
        [token().split(b".")[0], token(sub="bob").split(b".")[1], token().split(b".")[2]]
    ),
    "expired": lambda: token(exp=NOW - 31),
    "no exp": lambda: token(exp=None),
    "exp a text": lambda: token(exp="soon"),
    "exp a list": lambda: token(exp=[NOW + 300]),
    "not yet": lambda: token(nbf=NOW + 100_000),
    "nbf a text": lambda: token(nbf="now"),
    "issued in future": lambda: token(iat=NOW + 100_000),
    "another issuer": lambda: token(iss="https://issuer.example"),
    "no issuer": lambda: token(iss=None),
    "another audience": lambda: token(aud="other"),
    "another audience in a list": lambda: token(aud=["other", "third"]),
    "no audience": lambda: token(aud=None),
    "audience an object": lambda: token(aud={"rt-genai": True}),
    "no user": lambda: token(sub=None),
    "user a number": lambda: token(sub=5),
    "an empty user": lambda: token(sub=""),
    "crit": lambda: token(headers={"crit": ["exp"], "exp": 1}),
    "crit b64": lambda: by_hand(
        {"alg": "ES256", "kid": "ES256", "crit": ["b64"], "b64": True}, es256
    ),
    "an empty crit": lambda: by_hand({"alg": "ES256", "kid": "ES256", "crit": []}, es256),
    "a kid that is a path": lambda: token(headers={"kid": "../../../../dev/null"}),
    "a kid that is SQL": lambda: token(headers={"kid": "' OR 1=1 --"}),
    "a kid that is a number": lambda: by_hand({"alg": "ES256", "kid": 5}, es256),
    "an unknown kid": lambda: token(headers={"kid": "other"}),
    "a logout token": lambda: token(headers={"typ": "logout+jwt"}),
    "a type that is a number": lambda: by_hand({"alg": "ES256", "kid": "ES256", "typ": 5}, es256),
    "a header that is a list": lambda: f"{encoded([1])}.{encoded({})}.{encoded(b'x')}".encode(),
    "a header nested deep": lambda: f"{encoded(b'[' * 9000)}.{encoded({})}.AAAA".encode(),
    "a weak key": lambda: by_hand({"alg": "RS256", "kid": "weak"}, weak_rs256),
    "a key for encryption": lambda: token("ES256", headers={"kid": "for-encryption"}),
    "a shared secret that is published": lambda: by_hand(
        {"alg": "HS256", "kid": "shared"}, hs256_with(b"x" * 32)
    ),
}
