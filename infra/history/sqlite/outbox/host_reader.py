"""Reads the outboxes of all processes of this host."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import apsw

from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction
from infra.history.queries.page_merge import (
    better,
    merged,
    provisional_ids,
    without_replaced,
)
from infra.history.queries.word_filter import WordFilter
from infra.history.sqlite import pages as sqlite_pages
from infra.history.sqlite.outbox.complete_conversations import holds_all
from infra.history.sqlite.read_pool import ReadConnections, ReadPool
from infra.history.sqlite.tombstones import erased_among

T = TypeVar("T")


class LastUndelivered(Protocol):
    """Finds the last position, up to a limit, of undelivered rows in an outbox."""

    def __call__(self, connection: apsw.Connection, /, up_to: int | None) -> int | None: ...


class HostReader:
    """Reads every outbox in a folder, and applies the tombstones of each to all of them."""

    def __init__(self, folder: Path, reads: ReadPool) -> None:
        self._folder = folder
        self._reads = reads

    async def search(self, query: HistoryQuery) -> Page:
        """Return one page of the interactions on this host; raises `HistoryUnreadable`."""

        def read(connections: ReadConnections) -> Page:
            files = list(self._files(connections).values())
            page = merged(query, _read_each(files, lambda file: _search_filtered(file, query)))
            erased = _erased(
                files, query.user_id, [interaction.id for interaction in page.interactions]
            )
            page = without_erased(page, erased)
            if len(files) < 2:
                return page
            return without_replaced(page, _copies(files, query.user_id, provisional_ids(page)))

        return await self._reads.run(read)

    async def whole_conversation(self, query: HistoryQuery) -> Page | None:
        """Return the same page if this host has all turns of the requested conversation, else None."""
        conversation_id = query.filter.conversation_id
        assert conversation_id is not None

        def read(connections: ReadConnections) -> Page | None:
            files = self._files(connections)
            outboxes = list(files.values())
            page = merged(query, _read_each(outboxes, lambda file: _search_filtered(file, query)))
            erased = _erased(
                outboxes, query.user_id, [interaction.id for interaction in page.interactions]
            )
            # Checked last, so that rows removed during the read are known to be missing.
            if not holds_all(outboxes, query.user_id, conversation_id):
                return None
            if sorted(self._folder.glob("*.db")) != list(files):
                return None  # an outbox was taken over, and its rows may have moved past the read
            return without_erased(page, erased)

        return await self._reads.run(read)

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        """Return the interaction if this host has it; raises `HistoryUnreadable`."""

        def read(connections: ReadConnections) -> Interaction | None:
            files = list(self._files(connections).values())
            best: Interaction | None = None
            for found in _copies(files, user_id, [interaction_id]):
                best = better(best, found)
            if best is not None and _erased(files, user_id, [interaction_id]):
                return None
            return best

        return await self._reads.run(read)

    async def copies(self, user_id: str, interaction_ids: Sequence[str]) -> Sequence[Interaction]:
        """Return all copies of interactions that the outboxes have; raises `HistoryUnreadable`."""
        if not interaction_ids:
            return ()
        return await self._reads.run(
            lambda connections: list(
                _copies(list(self._files(connections).values()), user_id, interaction_ids)
            )
        )

    async def undelivered(
        self, last: LastUndelivered, up_to: Mapping[Path, int] | None
    ) -> dict[Path, int]:
        """Return the outboxes with undelivered rows, and the last position in each.

        Args:
            last: Finds the position in one outbox, and decides which rows count.
            up_to: The result of an earlier call, to wait for those rows only; None includes all rows there are now.
        """

        def read(connections: ReadConnections) -> dict[Path, int]:
            files = self._files(connections)
            bounds: Mapping[Path, int | None] = dict.fromkeys(files)
            if up_to is not None and up_to.keys() <= files.keys():  # else an outbox was taken over
                bounds = up_to
            left = {}
            for path, bound in bounds.items():
                look = partial(last, up_to=bound)
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
                continue  # just taken over by another process
        return files


def _search_filtered(file: apsw.Connection, query: HistoryQuery) -> Page:
    """Return one page of an outbox; words are compared row by row, since an outbox has no word index."""
    word_filter = WordFilter(query)
    while True:
        page = word_filter.take(sqlite_pages.search(file, word_filter.query))
        if page is not None:
            return page


def without_erased(page: Page, erased: frozenset[str]) -> Page:
    """Return the page without erased interactions."""
    if not erased:
        return page
    shown = [interaction for interaction in page.interactions if interaction.id not in erased]
    return Page(interactions=shown, next_id=page.next_id)


def _read_each(files: Sequence[apsw.Connection], read: Callable[[apsw.Connection], T]) -> list[T]:
    """Return the results of reading each file; a file that is being created has no tables yet and is skipped."""
    results = []
    for file in files:
        try:
            results.append(read(file))
        except apsw.SQLError:
            if file.pragma("user_version") != 0:
                raise
    return results


def _copies(
    files: Sequence[apsw.Connection], user_id: str, interaction_ids: Sequence[str]
) -> Iterator[Interaction]:
    """Yield the copies of interactions in all files."""
    for interaction_id in interaction_ids:
        find = partial(sqlite_pages.find, user_id=user_id, interaction_id=interaction_id)
        for found in _read_each(files, find):
            if found is not None:
                yield found


def _erased(files: Sequence[apsw.Connection], user_id: str, ids: Sequence[str]) -> frozenset[str]:
    if len(files) < 2 or not ids:
        return frozenset()  # a file does not contain interactions that it has tombstones of
    return frozenset().union(*_read_each(files, lambda file: erased_among(file, user_id, ids)))
