"""What is asked of MongoDB's `interactions`, and the indexes that answer it."""

from collections.abc import Callable, Sequence
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from domain.entities.history_query import HistoryQuery, Order
from domain.entities.interaction import Interaction
from domain.entities.words import MAX_WORD_CHARACTERS, words_of
from infra.history.format.documents import interaction_of
from infra.storage.mongo.client import Document

INDEXES = [
    IndexModel([("userId", ASCENDING), ("_id", DESCENDING)]),
    IndexModel([("userId", ASCENDING), ("model", ASCENDING), ("_id", DESCENDING)]),
    IndexModel([("userId", ASCENDING), ("provider", ASCENDING), ("_id", DESCENDING)]),
    IndexModel([("userId", ASCENDING), ("status", ASCENDING), ("_id", DESCENDING)]),
    IndexModel([("userId", ASCENDING), ("conversationId", ASCENDING), ("_id", DESCENDING)]),
    IndexModel([("userId", ASCENDING), ("words", ASCENDING), ("_id", DESCENDING)]),
    IndexModel([("expiresAt", ASCENDING)], expireAfterSeconds=0),
]

_ONLY_HERE = ("_id", "words", "expiresAt")
"""What is MongoDB's own in its documents."""


_MANY_WORDS = 10_000
_MAX_WORDS_BYTES = 7 * 1024 * 1024
"""A document of MongoDB's takes 16 MiB, and what comes through the queue unpacks to 8 MiB."""
_BYTES_BESIDE_A_WORD = 16
"""Of BSON's: a type, an index as text, a length and two ends."""


def stored(interaction: Interaction, document: Document) -> Document:
    """Return what MongoDB keeps: `document`, which is `interaction`, under `_id`, and the words that can be searched for."""
    document["_id"] = document.pop("id")
    document["words"] = stored_words(interaction.prompt.text, interaction.text)
    return document


def stored_words(*texts: str) -> list[str]:
    """Return the words of texts that anybody can search for, as many as a document has room for."""
    return _fitting([word for word in words_of(*texts) if len(word) <= MAX_WORD_CHARACTERS])


def _fitting(words: list[str]) -> list[str]:
    """Return as many of the words as a document has room for beside its texts: nearly always all."""
    if len(words) <= _MANY_WORDS:
        return words
    left_bytes = _MAX_WORDS_BYTES
    fitting = []
    for word in words:
        left_bytes -= len(word.encode()) + _BYTES_BESIDE_A_WORD
        if left_bytes < 0:
            break
        fitting.append(word)
    return fitting


def document_in(kept: Document) -> Document:
    """Return the common document of one that MongoDB kept, its names in the order they had."""
    own = {"v": kept.get("v"), "id": kept.get("_id")} | kept
    for name in _ONLY_HERE:
        own.pop(name, None)
    return own


def read(kept: Document) -> Interaction:
    """Return the interaction of a document MongoDB kept; raises `UnreadableDocument`."""
    return interaction_of(kept | {"id": kept.get("_id")})


def filter_of(
    query: HistoryQuery,
    words: Sequence[str] = (),
    *,
    form_of: Callable[[str], Any] = str,
) -> Document:
    """Return the query's conditions: the user as an equality, the place and the times as one range of ids.

    Args:
        query: What is asked for.
        words: Its words, the one first that is to be looked up in the index.
        form_of: Returns what a document may hold of a word: the word, or a condition.
    """
    wanted = query.filter
    conditions: Document = {"userId": query.user_id}
    for name, value in (
        ("model", wanted.model),
        ("provider", wanted.provider),
        ("conversationId", wanted.conversation_id),
    ):
        if value is not None:
            conditions[name] = {"$eq": value}
    forms = [form_of(word) for word in words or wanted.words]
    if all(isinstance(form, str) for form in forms):
        if forms:
            conditions["words"] = {"$all": forms}
        forms = []
    if wanted.statuses:
        conditions["status"] = {"$in": sorted(wanted.statuses)}
    else:
        conditions["answered"] = True
    bounds: list[dict[str, Any]] = [{"words": form} for form in forms]
    if wanted.from_id is not None:
        bounds.append({"_id": {"$gte": wanted.from_id}})
    if wanted.to_id is not None:
        bounds.append({"_id": {"$lt": wanted.to_id}})
    if query.after_id is not None:
        beyond = "$lt" if query.order is Order.DESC else "$gt"
        bounds.append({"_id": {beyond: query.after_id}})
    if bounds:
        conditions["$and"] = bounds
    return conditions


def direction_of(query: HistoryQuery) -> int:
    """Return how the ids are sorted."""
    return DESCENDING if query.order is Order.DESC else ASCENDING
