"""Documents, filters and indexes of MongoDB's `interactions`."""

from collections.abc import Callable, Sequence
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from domain.entities.history_query import HistoryQuery, Order
from domain.entities.interaction import Interaction
from domain.entities.words import MAX_WORD_CHARACTERS, words_of
from infra.history.format.documents import interaction_of
from infra.history.mongo.word_codes import CODES, codes_of, having_codes
from infra.storage.mongo.client import Document

WORDS_INDEX = "words"
USAGE_INDEX = "usage"

INDEXES = [
    IndexModel([("userId", ASCENDING), ("_id", DESCENDING)]),
    IndexModel([("userId", ASCENDING), ("model", ASCENDING), ("_id", DESCENDING)]),
    IndexModel([("userId", ASCENDING), ("provider", ASCENDING), ("_id", DESCENDING)]),
    IndexModel([("userId", ASCENDING), ("status", ASCENDING), ("_id", DESCENDING)]),
    IndexModel([("userId", ASCENDING), ("conversationId", ASCENDING), ("_id", DESCENDING)]),
    IndexModel([("userId", ASCENDING), ("_id", DESCENDING), (CODES, ASCENDING)], name=WORDS_INDEX),
    # All that statistics read, so that they read no documents.
    IndexModel(
        [
            ("userId", ASCENDING),
            ("_id", DESCENDING),
            ("answered", ASCENDING),
            ("status", ASCENDING),
            ("seconds", ASCENDING),
            ("model", ASCENDING),
            ("provider", ASCENDING),
            ("usage.input", ASCENDING),
            ("usage.output", ASCENDING),
            ("usage.costUsd", ASCENDING),
            ("usage.cachedInput", ASCENDING),
            ("usage.cacheWrite", ASCENDING),
        ],
        name="figures",
    ),
    # All that the usage of all users reads. New entries are at its end, so that it costs little to write.
    IndexModel(
        [
            ("_id", ASCENDING),
            ("model", ASCENDING),
            ("credential", ASCENDING),
            ("status", ASCENDING),
            ("usage.input", ASCENDING),
            ("usage.output", ASCENDING),
            ("usage.reasoning", ASCENDING),
            ("usage.cachedInput", ASCENDING),
            ("usage.cacheWrite", ASCENDING),
            ("usage.costUsd", ASCENDING),
        ],
        name=USAGE_INDEX,
    ),
    IndexModel([("expiresAt", ASCENDING)], expireAfterSeconds=0),
]

EARLIER_STATISTICS_INDEX = "statistics"
"""Index of earlier versions for statistics, without the tokens of caches."""

EARLIER_WORDS_INDEX = "userId_1_words_1__id_-1"
"""Index of earlier versions with one entry per word, which took most of the time of a write."""

WITHOUT_WORDS = {"words": 0, CODES: 0}
"""The projection for whole interactions."""

_MONGO_FIELDS = ("_id", "words", CODES, "expiresAt")
"""The fields that only MongoDB's documents have."""


_MANY_WORDS = 10_000
_MAX_WORDS_BYTES = 7 * 1024 * 1024
"""MongoDB limits a document to 16 MiB, and a message decompresses to at most 8 MiB."""
_WORD_OVERHEAD_BYTES = 16
"""BSON's overhead of an array element: type, index as text, length and terminators."""


def stored(interaction: Interaction, document: Document) -> Document:
    """Return the stored form of `document`, the document of `interaction`: with `_id` and the searchable words."""
    document["_id"] = document.pop("id")
    words = document["words"] = stored_words(interaction.prompt.text, interaction.text)
    document[CODES] = codes_of(words)
    return document


def stored_words(*texts: str) -> list[str]:
    """Return the searchable words of texts, as many as a document has room for."""
    return _fitting([word for word in words_of(*texts) if len(word) <= MAX_WORD_CHARACTERS])


def _fitting(words: list[str]) -> list[str]:
    """Return as many words as fit into a document with its texts: nearly always all."""
    if len(words) <= _MANY_WORDS:
        return words
    left_bytes = _MAX_WORDS_BYTES
    fitting = []
    for word in words:
        left_bytes -= len(word.encode()) + _WORD_OVERHEAD_BYTES
        if left_bytes < 0:
            break
        fitting.append(word)
    return fitting


def document_in(kept: Document) -> Document:
    """Return the common document of a stored one, with its names in their original order."""
    own = {"v": kept.get("v"), "id": kept.get("_id")} | kept
    for name in _MONGO_FIELDS:
        own.pop(name, None)
    return own


def read(kept: Document) -> Interaction:
    """Return the interaction of a stored document; raises `UnreadableDocument`."""
    return interaction_of(kept | {"id": kept.get("_id")})


def filter_of(
    query: HistoryQuery,
    words: Sequence[str] = (),
    *,
    form_of: Callable[[str], Any] = str,
    have_codes: bool = False,
) -> Document:
    """Return the query's conditions: the user as an equality, the cursor and the times as one range of ids.

    Args:
        query: The query.
        words: Its words in the order of lookup.
        form_of: Returns the stored form of a word, or a condition.
        have_codes: Whether all documents have the codes of their words.
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
    if have_codes:
        bounds += having_codes(wanted.words)
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
    """Return the sort direction of the ids."""
    return DESCENDING if query.order is Order.DESC else ASCENDING
