"""Translation of the MongoDB driver's errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from bson.errors import BSONError
from pymongo.errors import BulkWriteError, DocumentTooLarge, PyMongoError

from domain.exceptions import HistoryError, Unstorable

_REFUSED_PERMANENTLY = frozenset(
    {
        2,  # BadValue
        9,  # FailedToParse
        14,  # TypeMismatch
        15,  # Overflow: nested too deep
        22,  # InvalidBSON
        121,  # DocumentValidationFailure
        10334,  # BSONObjectTooLarge
        17280,  # KeyTooLong
        17419,  # BSONObjectTooLarge for the result of an update
    }
)
"""The server's error codes for documents that it refuses permanently."""


@contextmanager
def translate_errors(error: type[HistoryError]) -> Iterator[None]:
    """Raise the driver's errors and `TimeoutError` as `error`, with the cause attached.

    A document that the server refuses because of its content is `Unstorable`.
    """
    try:
        yield
    except (BSONError, OverflowError, UnicodeError, DocumentTooLarge) as exc:
        raise Unstorable("MongoDB cannot hold it") from exc
    except BulkWriteError as exc:
        if any(
            write_error.get("code") in _REFUSED_PERMANENTLY
            for write_error in exc.details["writeErrors"]
        ):
            raise Unstorable("MongoDB refuses it") from exc
        raise error("MongoDB did not keep all of it") from exc
    except (PyMongoError, TimeoutError) as exc:
        raise error("MongoDB does not answer as it should") from exc
