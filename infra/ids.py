"""Interaction ids that sort by time (UUIDv7)."""

import os
import struct
from collections.abc import Iterator

from domain.interfaces.clock import Clock

_COUNTER_BITS = 12
_COUNTER_LIMIT = 1 << _COUNTER_BITS
_RANDOM_BYTES = 8
_FETCHED_BYTES = 512 * _RANDOM_BYTES
"""Random bytes are read in blocks, since a system call for each id would cost more than the id."""
_VARIANT = 0b10 << 62
_VARIANT_FREE = (1 << 62) - 1


class InteractionIds:
    """Generates UUIDv7s, each greater than the last one of this process (RFC 9562, section 6.2, method 1).

    A counter of 12 bits orders ids within a millisecond. When it overflows, or the system clock steps back, the
    time in the ids runs ahead of the clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._milliseconds = 0
        self._counter = 0
        self._random: Iterator[tuple[int]] = iter(())

    def __call__(self) -> str:
        """Return the next id, as 36 lower-case characters."""
        now = self._clock.now_milliseconds()
        if now > self._milliseconds:
            self._milliseconds = now
            self._counter = 0
        else:
            self._counter += 1
            if self._counter == _COUNTER_LIMIT:
                self._milliseconds += 1
                self._counter = 0
        time = f"{self._milliseconds:012x}"
        tail = f"{_VARIANT | self._random_bits():016x}"
        return f"{time[:8]}-{time[8:]}-7{self._counter:03x}-{tail[:4]}-{tail[4:]}"

    def _random_bits(self) -> int:
        fetched = next(self._random, None)
        if fetched is None:
            self._random = struct.iter_unpack("Q", os.urandom(_FETCHED_BYTES))
            fetched = next(self._random)
        return fetched[0] & _VARIANT_FREE
