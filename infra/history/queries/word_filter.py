"""Searching by reading, where no index holds the words."""

from dataclasses import replace

from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction

READ_AT_ONCE = 100
READ_FOR_A_PAGE = 1000
"""What one page looks through; then it ends early and tells where to go on."""


class WordFilter:
    """One page of a query, put together from pages of the same query without its words.

    Attributes:
        query: The page to be read next.
    """

    def __init__(self, query: HistoryQuery) -> None:
        self.query = query
        self._asked = query
        self._found: list[Interaction] = []
        self._read = 0
        if query.filter.words:
            self.query = replace(query, limit=READ_AT_ONCE)

    def take(self, page: Page) -> Page | None:
        """Return the page asked for, once this part of what was looked through makes it whole; None to go on."""
        words = self._asked.filter.words
        if not words:
            return page
        self._found += [one for one in page.interactions if one.says(words)]
        limit = self._asked.limit
        if len(self._found) > limit:
            return Page(interactions=self._found[:limit], next_id=self._found[limit - 1].id)
        self._read += READ_AT_ONCE
        if page.next_id is None or len(self._found) == limit or self._read >= READ_FOR_A_PAGE:
            return Page(interactions=self._found, next_id=page.next_id)
        self.query = replace(self.query, after_id=page.next_id)
        return None
