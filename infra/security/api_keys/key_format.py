"""The format of API keys, and their digest.

`rtg_<id>_<secret>`: the prefix lets secret scanners find leaked keys, and the id is used for look-up. The secret is
32 random letters and digits, 190 bits. Only the SHA-256 of the whole key is stored: a slow hash such as Argon2 is for
passwords that can be guessed; this secret cannot be, and SHA-256 takes a microsecond.
"""

import hashlib
import re
import secrets
import string

PREFIX = b"rtg_"
KEY_ID_PATTERN = r"[a-z0-9]{12}"

_ID_LETTERS = string.ascii_lowercase + string.digits
_SECRET_LETTERS = string.ascii_letters + string.digits
_ID_LENGTH = 12
_SECRET_LENGTH = 32
_KEY = re.compile(rb"rtg_(%s)_[A-Za-z0-9]{%d}" % (KEY_ID_PATTERN.encode(), _SECRET_LENGTH))


def new_key() -> tuple[str, str]:
    """Return a new random id, and a key with that id."""
    key_id = "".join([secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH)])
    secret = "".join([secrets.choice(_SECRET_LETTERS) for _ in range(_SECRET_LENGTH)])
    return key_id, f"rtg_{key_id}_{secret}"


def key_id_of(key: bytes) -> str | None:
    """Return the id in `key`; None if it does not have the format of a key."""
    match = _KEY.fullmatch(key)
    return None if match is None else match[1].decode()


def digest_of(key: bytes) -> bytes:
    """Return the digest of `key` that is stored."""
    return hashlib.sha256(key).digest()
