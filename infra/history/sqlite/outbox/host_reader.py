"""What all processes of this host hold in their outboxes, read together."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import apsw

from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction
from infra.history.queries.page_merge import better, merged
from infra.history.queries.word_filter import WordFilter
from infra.history.sqlite import pages as sqlite_pages
from infra.history.sqlite.outbox.complete_conversations import holds_all
from infra.history.sqlite.read_pool import ReadConnections, ReadPool
from infra.history.sqlite.tombstones import erased_among

T = TypeVar("T")


class LastUndelivered(Protocol):
    """Finds the last position of what an outbox has still to deliver of a user, up to a position."""

    def __call__(
        self, connection: apsw.Connection, user_id: str, up_to: int | None
    ) -> int | None: ...


class HostReader:
    """Reads every outbox in a folder; what one of them knows to be erased is shown from none."""

    def __init__(self, folder: Path, reads: ReadPool) -> None:
        self._folder = folder
        self._reads = reads

    async def search(self, query: HistoryQuery) -> Page:
        """Return one page of what this host holds; raises `HistoryUnreadable`."""

        def read(connections: ReadConnections) -> Page:
            files = list(self._files(connections).values())
            page = merged(query, _read_each(files, lambda file: _search_filtered(file, query)))
            erased = _erased(files, query.user_id, [one.id for one in page.interactions])
            return without_erased(page, erased)

        return await self._reads.run(read)

    async def whole_conversation(self, query: HistoryQuery) -> Page | None:
        """Return the same page if this host holds all turns of the conversation asked for, else None."""
        conversation_id = query.filter.conversation_id
        assert conversation_id is not None

        def read(connections: ReadConnections) -> Page | None:
            files = self._files(connections)
            outboxes = list(files.values())
            page = merged(query, _read_each(outboxes, lambda file: _search_filtered(file, query)))
            erased = _erased(outboxes, query.user_id, [one.id for one in page.interactions])
            # Looked at last, so that rows that went away during the read are known to be missing.
            if not holds_all(outboxes, query.user_id, conversation_id):
                return None
            if sorted(self._folder.glob("*.db")) != list(files):
                return None  # one was taken over, and its rows moved, perhaps behind the read
            return without_erased(page, erased)

        return await self._reads.run(read)

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        """Return the interaction if this host holds it; raises `HistoryUnreadable`."""

        def read(connections: ReadConnections) -> Interaction | None:
            files = list(self._files(connections).values())
            best: Interaction | None = None
            for found in _read_each(
                files, lambda file: sqlite_pages.find(file, user_id, interaction_id)
            ):
                best = best if found is None else better(best, found)
            if best is not None and _erased(files, user_id, [interaction_id]):
                return None
            return best

        return await self._reads.run(read)

    async def undelivered(
        self, user_id: str, last: LastUndelivered, up_to: Mapping[Path, int] | None
    ) -> dict[Path, int]:
        """Return the outboxes that have still to deliver something of the user, and its last position in each.

        Args:
            user_id: Whose.
            last: Finds the position in one outbox.
            up_to: What an earlier look returned, to look only for that; None looks for all there is now.
        """

        def read(connections: ReadConnections) -> dict[Path, int]:
            files = self._files(connections)
            bounds: Mapping[Path, int | None] = dict.fromkeys(files)
            if up_to is not None and up_to.keys() <= files.keys():  # else one was taken over
                bounds = up_to
            left = {}
            for path, bound in bounds.items():
                look = partial(last, user_id=user_id, up_to=bound)
                for position in _read_each([files[path]], look):
                    if position is not None:
                        left[path] = position
            return left

        return await self._reads.run(read)

    def _files(self, connections: ReadConnections) -> dict[Path, apsw.Connection]:
        paths = sorted(self._folder.glob("*.db"))
        connections.keep_only(paths)
        files = {}
        for path in paths:
            try:
                files[path] = connections.to(path)
            except apsw.CantOpenError:
                continue  # adopted by another process a moment ago
        return files


def _search_filtered(file: apsw.Connection, query: HistoryQuery) -> Page:
    """Return one page of an outbox: it has no index of words, since what it holds is on its way to a store that has."""
    sifting = WordFilter(query)
    while True:
        page = sifting.take(sqlite_pages.search(file, sifting.query))
        if page is not None:
            return page


def without_erased(page: Page, erased: frozenset[str]) -> Page:
    """Return the page without what was erased."""
    if not erased:
        return page
    shown = [one for one in page.interactions if one.id not in erased]
    return Page(interactions=shown, next_id=page.next_id)


def _read_each(files: Sequence[apsw.Connection], read: Callable[[apsw.Connection], T]) -> list[T]:
    """Return what is read of each file that has its tables: one that is being made has none yet."""
    results = []
    for file in files:
        try:
            results.append(read(file))
        except apsw.SQLError:
            if file.pragma("user_version") != 0:
                raise
    return results


def _erased(files: Sequence[apsw.Connection], user_id: str, ids: Sequence[str]) -> frozenset[str]:
    if len(files) < 2 or not ids:
        return frozenset()  # a file does not hold what it knows to be erased
    return frozenset().union(*_read_each(files, lambda file: erased_among(file, user_id, ids)))
