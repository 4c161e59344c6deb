"""A checksum of many interactions that does not depend on their order."""

from collections.abc import Iterable
from dataclasses import dataclass

_MODULUS = 1 << 256


@dataclass(frozen=True, slots=True)
class Checksum:
    """The number of interactions, and the sum of their SHA-256 digests modulo 2^256.

    A sum rather than XOR, because two equal digests would cancel each other out under XOR.
    """

    count: int = 0
    total: int = 0

    def plus(self, digests: Iterable[bytes]) -> "Checksum":
        """Return the checksum with these digests added."""
        numbers = [int.from_bytes(digest) for digest in digests]
        return Checksum(self.count + len(numbers), (self.total + sum(numbers)) % _MODULUS)

    def __str__(self) -> str:
        return f"{self.count} interactions, checksum {self.total:064x}"


EMPTY_CHECKSUM = Checksum()
