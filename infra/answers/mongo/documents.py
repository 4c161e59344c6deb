"""The documents of the collections `answers` and `answer_records`, and their indexes.

`answers` has one document for each log, `{u: user, i: interaction}`: the request, and the lease with its epoch while
the log has no end. `answer_records` has one for each chunk, `{u: user, i: interaction, p: position}`.
"""

from datetime import UTC, datetime

from pymongo import IndexModel

from domain.entities.background.answer import AnswerKey
from infra.answers.chunks import Chunk
from infra.answers.logs import ERASED_EPOCH, StoredChunk
from infra.storage.mongo.client import Document

BY_NUMBER = [("_id.u", 1), ("_id.i", 1), ("next", 1), ("_id.p", 1)]
HEADER_INDEXES = [
    IndexModel([("leaseUntil", 1)], name="byLease", sparse=True),
    IndexModel([("expiresAt", 1)], name="expiry", expireAfterSeconds=0),
]
CHUNK_INDEXES = [
    IndexModel(BY_NUMBER, name="byNumber"),
    IndexModel([("expiresAt", 1)], name="expiry", expireAfterSeconds=0),
]

_MAX_POSITION = 2**53


def header_id(key: AnswerKey) -> Document:
    """Return the id of the document of a log."""
    return {"u": key.user_id, "i": key.interaction_id}


def chunk_id(key: AnswerKey, position: int) -> Document:
    """Return the id of a chunk."""
    return {"u": key.user_id, "i": key.interaction_id, "p": position}


def chunks_of(key: AnswerKey) -> Document:
    """Return the filter for all chunks of a log."""
    return {"_id": {"$gte": chunk_id(key, 0), "$lt": chunk_id(key, _MAX_POSITION)}}


def key_in(document: Document) -> AnswerKey:
    """Return the key of a log from its document."""
    return AnswerKey(user_id=document["_id"]["u"], interaction_id=document["_id"]["i"])


def document_of(chunk: Chunk, now_milliseconds: int) -> Document:
    """Return the document of a chunk."""
    document: Document = {
        "_id": chunk_id(chunk.key, chunk.position),
        "epoch": chunk.epoch,
        "first": chunk.first_number,
        "next": chunk.next_number,
        "count": chunk.count,
        "at": now_milliseconds,
        "body": chunk.body,
    }
    if chunk.is_last:
        document["isLast"] = True
    return document


def chunk_in(document: Document) -> StoredChunk:
    """Return the chunk of a document."""
    return StoredChunk(
        position=document["_id"]["p"],
        epoch=document["epoch"],
        first_number=document["first"],
        next_number=document["next"],
        count=document["count"],
        is_last="isLast" in document,
        written_milliseconds=document.get("at"),
        body=document["body"],
    )


def fence(key: AnswerKey, *, epoch: int, position: int, number: int) -> Document:
    """Return a chunk without records, which takes the position where an older lease would write."""
    return {
        "_id": chunk_id(key, position),
        "epoch": epoch,
        "first": number,
        "next": number,
        "count": 0,
        "body": b"[]",
    }


def blank(expires_at: datetime) -> Document:
    """Return the update that removes the records of a chunk and leaves its position taken."""
    return {
        "$set": {"epoch": ERASED_EPOCH, "count": 0, "body": b"[]", "expiresAt": expires_at},
        "$unset": {"isLast": ""},
    }


def time_of(milliseconds: int) -> datetime:
    """Return a time in milliseconds since 1970 UTC as the driver takes it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def is_running(header: Document | None) -> bool:
    """Return whether a log exists and has neither an end nor been erased."""
    return header is not None and "leaseUntil" in header
