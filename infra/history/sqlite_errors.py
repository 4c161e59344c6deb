"""SQLite's errors in the domain's words."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from domain.exceptions import HistoryUnavailable, HistoryUnreadable
from infra.history.documents import UnreadableDocument


@contextmanager
def writing() -> Iterator[None]:
    """Turn whatever SQLite fails with into `HistoryUnavailable`; the cause stays attached."""
    try:
        yield
    except apsw.Error as exc:
        raise HistoryUnavailable("the embedded store cannot be written") from exc


@contextmanager
def reading() -> Iterator[None]:
    """Turn whatever SQLite fails with, or a row we cannot read, into `HistoryUnreadable`."""
    try:
        yield
    except (apsw.Error, UnreadableDocument) as exc:
        raise HistoryUnreadable("the embedded store cannot be read") from exc
