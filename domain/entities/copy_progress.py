"""How far a copy is, and what became of what was copied."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from domain.entities.checksum import EMPTY_CHECKSUM, Checksum
from domain.entities.stored_record import InteractionKey, Record, Tombstone

MAX_SHOWN_KEYS = 10
"""How many of the differing are named; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in a source, behind which it can go on; which fields count, the source knows.

    Attributes:
        place: Of the last record before it; None where there was none yet.
        offset_bytes: In a file.
        line: How many lines of a file are before it.
    """

    last_key: InteractionKey | None = None
    offset_bytes: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some of what is to be copied.

    Attributes:
        digests: SHA-256 of each record, as this kind of copy compares them.
        position: Where the source goes on behind this batch.
        invalid: How many were left out because they are no interactions.
        done: How much of the source is behind, in units of its own.
        whole: How much there is; 0 where nobody knows.
    """

    records: Sequence[Record]
    digests: Sequence[bytes]
    erasures: Sequence[Tombstone] = ()
    position: Position
    invalid: int = 0
    done: int
    total: int

    def without_expired(self, first_kept_id: str) -> Self:
        """Return the batch without the records below an id."""
        kept = [
            (record, digest)
            for record, digest in zip(self.records, self.digests, strict=True)
            if record.key.interaction_id >= first_kept_id
        ]
        if len(kept) == len(self.records):
            return self
        return replace(
            self, records=[record for record, _ in kept], digests=[digest for _, digest in kept]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyProgress:
    """What a copy came to so far.

    Attributes:
        source: Of what was read, without what was erased in the target or has expired.
        target: Of what then was there, read back.
        erased: Left out, because they were erased in the target.
        expired: Left out, because nothing so old is kept.
        invalid: Left out, because they are no interactions.
        erasures: What was erased in the source, and now is in the target.
        differing: How many are missing in the target, or are something else there, which was left as it was.
        differing_keys: The first of them.
    """

    position: Position = Position()
    source: Checksum = EMPTY_CHECKSUM
    target: Checksum = EMPTY_CHECKSUM
    erased: int = 0
    expired: int = 0
    invalid: int = 0
    erasures: int = 0
    differing: int = 0
    differing_keys: tuple[InteractionKey, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the target holds all that was to be copied, as it was."""
        return self.source == self.target
