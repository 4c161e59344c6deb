"""Cursors a caller can carry but not make."""

from abc import abstractmethod
from typing import Protocol

from domain.entities.conversation import ConversationQuery
from domain.entities.history_query import HistoryQuery

PageQuery = HistoryQuery | ConversationQuery
"""A page of it is asked for; limit and place aside, it stays the same from page to page."""


class CursorCodec(Protocol):
    """Turns a place in a walk through history into an opaque text and back."""

    @abstractmethod
    def encode(self, query: PageQuery, next_id: str) -> str:
        """Return a cursor for the page of `query` that starts behind `next_id`."""
        ...

    @abstractmethod
    def decode(self, query: PageQuery, cursor: str) -> str:
        """Return the id in `cursor`.

        Raises:
            InvalidCursor: Not ours, edited, or made for another user, filter or order.
        """
        ...
