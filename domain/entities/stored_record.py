"""Stored records and tombstones, the common form in which stores are copied."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from domain.entities.interaction import first_id_at, milliseconds_of


class InteractionKey(NamedTuple):
    """Identifies an interaction in every store."""

    user_id: str
    interaction_id: str


@dataclass(frozen=True, slots=True)
class Record:
    """One interaction in the storage format that all stores share; a copy is identical byte by byte.

    Attributes:
        body: The stored JSON document.
    """

    key: InteractionKey
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """Marks erased interactions, so that a later write or copy does not restore them.

    Attributes:
        interaction_id: Id of one erased interaction; None if all of the user's below `before_id` were erased.
        before_id: Smallest id of the first millisecond that is not erased; None if `interaction_id` is given.
    """

    user_id: str
    interaction_id: str | None = None
    before_id: str | None = None

    @property
    def until_id(self) -> str | None:
        """The smallest id of the last millisecond that was erased, as erasures take it; None with `interaction_id`."""
        if self.before_id is None:
            return None
        return first_id_at(milliseconds_of(self.before_id) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePage:
    """Some records and some tombstones of a store; either may be empty."""

    records: Sequence[Record] = ()
    erasures: Sequence[Tombstone] = ()
