"""How a key looks, and what is kept of it.

`rtg_<id>_<secret>`: the prefix lets secret scanners find a leaked one, the id is looked up, the secret holds. It is
32 letters and digits from the system's random source, 190 bits. Only the SHA-256 of the whole key is kept: a slow hash
such as Argon2 protects what people think up; what nobody can guess needs none, and is checked in a microsecond.
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
    """Return an id and a key with that id; nobody has had either before."""
    key_id = "".join([secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH)])
    secret = "".join([secrets.choice(_SECRET_LETTERS) for _ in range(_SECRET_LENGTH)])
    return key_id, f"rtg_{key_id}_{secret}"


def key_id_of(key: bytes) -> str | None:
    """Return the id in `key`, or None when it does not look like a key at all."""
    match = _KEY.fullmatch(key)
    return None if match is None else match[1].decode()


def digest_of(key: bytes) -> bytes:
    """Return what is kept of `key`."""
    return hashlib.sha256(key).digest()
