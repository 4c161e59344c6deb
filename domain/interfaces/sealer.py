"""Port for values that clients store without being able to read or change them."""

from abc import abstractmethod
from typing import Protocol


class Sealer(Protocol):
    """Encrypts and authenticates values under a secret of the installation; the same input gives the same text."""

    @abstractmethod
    def seal(self, content: bytes, *bound_to: str) -> str:
        """Return `content` as an opaque text of letters, digits, `-` and `_`.

        Args:
            content: May be empty.
            bound_to: Texts that are needed to open it, such as its purpose and an id.
        """
        ...

    @abstractmethod
    def open(self, text: str, *bound_to: str) -> bytes | None:
        """Return the content of `text`; None if it was not sealed here with the same `bound_to`, or was altered."""
        ...
