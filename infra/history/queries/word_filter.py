"""Search by words without an index, by reading all interactions."""

from dataclasses import replace

from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction

READ_AT_ONCE = 100
READ_FOR_A_PAGE = 1000
"""Number of interactions that one page reads before it ends early with a `next_id`."""


class WordFilter:
    """Assembles one page of a query from pages of the same query without its words.

    Attributes:
        query: The query of the page to read next.
    """

    def __init__(self, query: HistoryQuery) -> None:
        self.query = query
        self._asked = query
        self._found: list[Interaction] = []
        self._read = 0
        if query.filter.words:
            self.query = replace(query, limit=READ_AT_ONCE)

    def take(self, page: Page) -> Page | None:
        """Add a page that was read; return the result once it is complete, None to read on."""
        words = self._asked.filter.words
        if not words:
            return page
        self._found += [
            interaction for interaction in page.interactions if interaction.contains_words(words)
        ]
        limit = self._asked.limit
        if len(self._found) > limit:
            return Page(interactions=self._found[:limit], next_id=self._found[limit - 1].id)
        self._read += READ_AT_ONCE
        if page.next_id is None or len(self._found) == limit or self._read >= READ_FOR_A_PAGE:
            return Page(interactions=self._found, next_id=page.next_id)
        self.query = replace(self.query, after_id=page.next_id)
        return None
