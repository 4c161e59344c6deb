"""Sealed values: AES-SIV (RFC 5297) under a key that is derived from the secret of the cursors."""

import base64
import binascii
import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

from domain.interfaces.sealer import Sealer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV


class AesSivSealer(Sealer):
    """Deterministic authenticated encryption, so that an id is the same whenever it is made.

    Args:
        secret: Of any length; all processes of an installation have the same one.
    """

    def __init__(self, secret: bytes) -> None:
        if not secret:
            raise ValueError("a sealer needs a secret")
        self._key = hashlib.sha512(b"sealing\0" + secret).digest()

    @cached_property
    def _cipher(self) -> "AESSIV":
        # imported here, since only some API formats have sealed values
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        return AESSIV(self._key)

    def seal(self, content: bytes, *bound_to: str) -> str:
        # AES-SIV takes no empty message
        sealed = self._cipher.encrypt(b"\0" + content, [text.encode() for text in bound_to])
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def open(self, text: str, *bound_to: str) -> bytes | None:
        from cryptography.exceptions import InvalidTag

        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            content = self._cipher.decrypt(sealed, [part.encode() for part in bound_to])
        except (binascii.Error, ValueError, InvalidTag):
            return None
        if self.seal(content[1:], *bound_to) != text:
            return None  # another encoding of the same bytes
        return content[1:]
