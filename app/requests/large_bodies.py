"""Limits the memory of large request bodies, which only attachments need."""

from dataclasses import dataclass, field

from domain.exceptions import Overloaded

LARGE_FROM_BYTES = 256 * 1024
MAX_STRINGS_IN_LARGE_BODY = 65_536
"""As many as fit into a body of 256 KiB with four bytes each: a larger one is for few, long strings."""
MAX_VALUES_IN_LARGE_BODY = 131_072
"""As many as fit into a body of 256 KiB with two bytes each, so that a larger one takes no more time to validate."""


@dataclass(slots=True)
class LargeBodies:
    """Counts the bytes of large bodies whose requests are not answered yet.

    Attributes:
        max_bytes: Limit of all of them together.
    """

    max_bytes: int = 256 * 1024 * 1024
    _held_bytes: int = field(default=0, init=False)

    def hold(self, size_bytes: int) -> None:
        """Count more bytes.

        Raises:
            Overloaded: They do not fit; a retry may succeed.
        """
        if self._held_bytes + size_bytes > self.max_bytes:
            raise Overloaded
        self._held_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        """Count fewer bytes."""
        self._held_bytes -= size_bytes


class HeldBody:
    """The share of one request in `LargeBodies`; nothing while its body is small."""

    __slots__ = ("_bodies", "_held_bytes")

    def __init__(self, bodies: LargeBodies) -> None:
        self._bodies = bodies
        self._held_bytes = 0

    def grow_to(self, size_bytes: int) -> None:
        """Count the body with so many bytes received.

        Raises:
            Overloaded: There are too many large bodies at once.
        """
        if size_bytes > LARGE_FROM_BYTES:
            self._bodies.hold(size_bytes - self._held_bytes)
            self._held_bytes = size_bytes

    @property
    def is_large(self) -> bool:
        """Whether the work on the body is too long for the event loop."""
        return self._held_bytes > 0

    def release(self) -> None:
        """End the request; a second time changes nothing."""
        self._bodies.release(self._held_bytes)
        self._held_bytes = 0
