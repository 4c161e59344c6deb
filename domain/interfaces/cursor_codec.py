"""Port for page cursors: opaque to clients, rejected if altered."""

from abc import abstractmethod
from typing import Protocol

from domain.entities.conversation import ConversationQuery
from domain.entities.history_query import HistoryQuery

PageQuery = HistoryQuery | ConversationQuery
"""A query for a page. Except for `limit` and `after_id`, it is the same for all pages of a listing."""


class CursorCodec(Protocol):
    """Encodes a position in a listing as an opaque text, bound to the query."""

    @abstractmethod
    def encode(self, query: PageQuery, next_id: str) -> str:
        """Return a cursor for the page of `query` that starts after `next_id`."""
        ...

    @abstractmethod
    def decode(self, query: PageQuery, cursor: str) -> str:
        """Return the id in `cursor`.

        Raises:
            InvalidCursor: Not a cursor of this service, altered, or issued for another user, filter or order.
        """
        ...
