"""Translates SQLite errors into domain exceptions."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from domain.exceptions import HistoryDamaged, HistoryUnavailable, HistoryUnreadable, Unstorable
from infra.history.format.documents import UnreadableDocument

_REFUSED = (apsw.TooBigError, apsw.MismatchError, apsw.ConstraintError, apsw.RangeError)
"""Errors about a row that SQLite never accepts, whatever the state of its file."""
_NO_JSON = "malformed JSON"
"""Error text about a body that its JSON functions cannot read, such as one nested a thousand deep."""


@contextmanager
def translate_write_errors() -> Iterator[None]:
    """Raise SQLite errors as `HistoryUnavailable`, and those about a row's content as `Unstorable`."""
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
    """Raise SQLite errors as `HistoryUnreadable`, and rows that cannot be parsed as `HistoryDamaged`."""
    try:
        yield
    except UnreadableDocument as exc:
        raise HistoryDamaged("the embedded store holds a row that cannot be read") from exc
    except apsw.Error as exc:
        raise HistoryUnreadable("the embedded store cannot be read") from exc
