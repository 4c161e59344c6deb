"""SQLite's errors in the domain's words."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from domain.exceptions import HistoryDamaged, HistoryUnavailable, HistoryUnreadable, Unstorable
from infra.history.format.documents import UnreadableDocument

_REFUSED = (apsw.TooBigError, apsw.MismatchError, apsw.ConstraintError, apsw.RangeError)
"""What SQLite says of a row that it never takes, whatever the state of its file."""
_NO_JSON = "malformed JSON"
"""What it says of a body that its functions cannot read, such as one nested a thousand deep."""


@contextmanager
def translate_write_errors() -> Iterator[None]:
    """Turn whatever SQLite fails with into `HistoryUnavailable`; the cause stays attached.

    What it refuses because of its content is `Unstorable`.
    """
    try:
        yield
    except _REFUSED as exc:
        raise Unstorable("SQLite refuses it") from exc
    except apsw.Error as exc:
        if isinstance(exc, apsw.SQLError) and _NO_JSON in str(exc):
            raise Unstorable("SQLite refuses it") from exc
        raise HistoryUnavailable("the embedded store cannot be written") from exc


@contextmanager
def translate_read_errors() -> Iterator[None]:
    """Turn whatever SQLite fails with, or a row we cannot read, into `HistoryUnreadable`."""
    try:
        yield
    except UnreadableDocument as exc:
        raise HistoryDamaged("the embedded store holds what cannot be read") from exc
    except apsw.Error as exc:
        raise HistoryUnreadable("the embedded store cannot be read") from exc
