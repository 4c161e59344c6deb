"""Interactions as stores keep them, for copying."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class InteractionKey(NamedTuple):
    """Where an interaction stands in every store."""

    user_id: str
    interaction_id: str


@dataclass(frozen=True, slots=True)
class Record:
    """One interaction in the form that all stores share, so that a copy is the same to the byte.

    Attributes:
        body: JSON; only what wrote it and what stores it look inside.
    """

    key: InteractionKey
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """What was erased, and must not come back with a copy.

    Attributes:
        interaction_id: This one; None means all of the user's below `before_id`.
        before_id: The smallest id of the first millisecond that is not erased.
    """

    user_id: str
    interaction_id: str | None = None
    before_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePage:
    """Some of a store's records, and some of what was erased from it; either may be empty."""

    records: Sequence[Record] = ()
    erasures: Sequence[Tombstone] = ()
