"""The MongoDB driver's errors in the domain's words."""

from collections.abc import Iterator
from contextlib import contextmanager

from bson.errors import BSONError
from pymongo.errors import BulkWriteError, DocumentTooLarge, PyMongoError

from domain.exceptions import HistoryError, Unstorable

_REFUSED_FOR_EVER = frozenset(
    {
        2,  # BadValue
        9,  # FailedToParse
        14,  # TypeMismatch
        15,  # Overflow: nested too deep
        22,  # InvalidBSON
        121,  # DocumentValidationFailure
        10334,  # BSONObjectTooLarge
        17280,  # KeyTooLong
        17419,  # the same as BSONObjectTooLarge, of what a document would become
    }
)
"""What the server says of single documents that it never takes."""


@contextmanager
def translate_errors(error: type[HistoryError]) -> Iterator[None]:
    """Turn the driver's errors and a `TimeoutError` into `error`; the cause stays attached.

    What the server refuses because of its content is `Unstorable`.
    """
    try:
        yield
    except (BSONError, OverflowError, UnicodeError, DocumentTooLarge) as exc:
        raise Unstorable("MongoDB cannot hold it") from exc
    except BulkWriteError as exc:
        if any(one.get("code") in _REFUSED_FOR_EVER for one in exc.details["writeErrors"]):
            raise Unstorable("MongoDB refuses it") from exc
        raise error("MongoDB did not keep all of it") from exc
    except (PyMongoError, TimeoutError) as exc:
        raise error("MongoDB does not answer as it should") from exc
