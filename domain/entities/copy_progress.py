"""Batches, position and progress of a copy between stores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from domain.entities.checksum import EMPTY_CHECKSUM, Checksum
from domain.entities.conversation import ConversationRecord
from domain.entities.stored_record import InteractionKey, Record, Tombstone

MAX_SHOWN_KEYS = 10
"""Maximum number of differing keys that are listed; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A position in a source from which a copy can resume. Each source defines which fields it uses.

    Attributes:
        last_key: Key of the last record before the position; None at the start.
        offset_bytes: Offset in a file.
        line: Number of lines of a file before the position.
    """

    last_key: InteractionKey | None = None
    offset_bytes: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch of records to copy.

    Attributes:
        digests: SHA-256 of each record, in the form that this kind of copy compares.
        content_ids: Ids of the contents that records refer to; records that refer to none are left out.
        texts: Those of these contents that the source holds within the records themselves, as UTF-8 by id.
        conversations: Records of conversations; they are not counted.
        erasures: Tombstones to apply to the target.
        position: Position behind this batch.
        invalid: Number of lines left out because they are invalid.
        done: Amount of the source read so far, in units of the source.
        total: Size of the source in the same units; 0 if unknown.
    """

    records: Sequence[Record]
    digests: Sequence[bytes]
    content_ids: Mapping[InteractionKey, Sequence[str]] = field(default_factory=dict)
    texts: Mapping[str, bytes] = field(default_factory=dict)
    conversations: Sequence[ConversationRecord] = ()
    erasures: Sequence[Tombstone] = ()
    position: Position
    invalid: int = 0
    done: int
    total: int

    def without_expired(self, first_kept_id: str) -> Self:
        """Return the batch without records whose ids are below `first_kept_id`."""
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
    """Counts and checksums of a copy so far.

    Attributes:
        source: Checksum of the records read, without those erased in the target or expired.
        target: Checksum of the same records as read back from the target.
        erased: Records left out because they were erased in the target.
        expired: Records left out because they are older than the retention period.
        invalid: Lines left out because they are invalid.
        missing: Contents that records refer to and neither source nor target holds.
        erasures: Tombstones of the source that were applied to the target.
        differing: Records that are missing in the target or differ there; existing ones are not overwritten.
        differing_keys: Keys of the first of these.
    """

    position: Position = Position()
    source: Checksum = EMPTY_CHECKSUM
    target: Checksum = EMPTY_CHECKSUM
    erased: int = 0
    expired: int = 0
    invalid: int = 0
    missing: int = 0
    erasures: int = 0
    differing: int = 0
    differing_keys: tuple[InteractionKey, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the target holds every copied record unchanged."""
        return self.source == self.target
