"""The interface of the decoders of bodies."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Protocol

DONE = b"[DONE]"
"""The last event of OpenAI's streams; the only event that is not JSON."""


class BodyDecoder(Protocol):
    """Splits the body of one answer into JSON documents; one instance per answer.

    Attributes:
        is_bare: The body, or its end, is JSON outside of events.
        is_foreign: The body so far contains neither events nor JSON, as a web page does.
    """

    is_bare: bool

    @property
    @abstractmethod
    def is_foreign(self) -> bool: ...

    @abstractmethod
    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the documents that `chunk` completes, or `DONE`.

        Raises:
            ErrorInAnswer: The provider sent an error; the documents before it were yielded.
            UnreadableAnswer: The body is damaged, or a document is too long; those before it were yielded.
        """
        ...

    @abstractmethod
    def end(self) -> Iterator[bytes]:
        """Yield the documents that the end of the body completes; an incomplete one is not yielded.

        Raises:
            ErrorInAnswer: As `feed`.
        """
        ...
