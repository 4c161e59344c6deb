"""Searches history by words in SQLite, in the order of time."""

from collections.abc import Collection, Iterator
from typing import Any

import apsw
import orjson

from domain.entities.history_query import HistoryFilter, HistoryQuery, Order, Page
from domain.entities.interaction import first_id_at, milliseconds_of
from domain.entities.words import words_of_decomposed
from infra.history.format.documents import interaction_of
from infra.history.sqlite.search.index import (
    LAST_MILLISECOND,
    PLACES_A_MILLISECOND,
    UNOWNED_TERM,
    owner_term,
)
from infra.history.sqlite.search.renewal import is_renewed

SCANNED_ROWS = 10_000
"""Maximum number of rows that one page scans for the other filters; it then ends early with a cursor."""

_FEW_ROWS = 50
"""A word that is in no more rows of the user leads a search for several words."""

_AFTER_ALL = first_id_at(1 << 48)

_FOUND = """
SELECT i.seq, i.id, i.model, i.provider, i.conversation_id, i.status, i.answered
FROM said CROSS JOIN place ON place.place = said.rowid CROSS JOIN interaction AS i ON i.seq = place.seq
WHERE said MATCH :words AND said.rowid BETWEEN :low AND :high AND i.user_id = :user_id
ORDER BY said.rowid {order}
"""
_SOME_OF_A_WORD = (
    "SELECT rowid FROM said WHERE said MATCH :words AND rowid BETWEEN :low AND :high LIMIT :rows"
)
_BODIES = """
SELECT CAST(group_concat(body, ',' ORDER BY id {order}) AS BLOB) FROM interaction
WHERE seq IN (SELECT value FROM json_each(?))
"""


def search(connection: apsw.Connection, query: HistoryQuery) -> Page:
    """Return one page of `query`, which has words, read from one state of the file."""
    with connection:
        has_every_form = is_renewed(connection)
        picked, next_id = _picked(connection, query)
        order = "DESC" if query.order is Order.DESC else "ASC"
        seqs = orjson.dumps([seq for _, seq in picked]).decode()
        joined = connection.execute(_BODIES.format(order=order), (seqs,)).get
    documents = [] if joined is None else orjson.loads(b"[" + joined + b"]")
    found = [interaction_of(document) for document in documents]
    if not has_every_form:
        found = [
            interaction for interaction in found if interaction.contains_words(query.filter.words)
        ]
    return Page(interactions=found, next_id=next_id)


def _picked(
    connection: apsw.Connection, query: HistoryQuery
) -> tuple[list[tuple[str, int]], str | None]:
    """Return the ids and rows of the page, and its `next_id`.

    Places are in the order of time to the millisecond; ids within one are sorted here. A scan therefore ends with a
    whole millisecond.
    """
    is_newest_first = query.order is Order.DESC
    picked: list[tuple[str, int]] = []
    scanned: list[str] = []
    for milliseconds, seq, interaction_id, fits in _found(connection, query):
        is_enough = len(picked) > query.limit or len(scanned) >= SCANNED_ROWS
        if is_enough and milliseconds != milliseconds_of(scanned[-1]):
            break
        scanned.append(interaction_id)
        if fits:
            picked.append((interaction_id, seq))
    else:
        scanned = []  # nothing is left
    picked.sort(reverse=is_newest_first)
    if len(picked) > query.limit:
        picked = picked[: query.limit]
        return picked, picked[-1][0]
    if not scanned:
        return picked, None
    return picked, min(scanned) if is_newest_first else max(scanned)


def _found(
    connection: apsw.Connection, query: HistoryQuery
) -> Iterator[tuple[int, int, str, bool]]:
    """Yield time, row and id of the rows with the words, in order of time, and whether they pass the other filters."""
    wanted, after_id = query.filter, query.after_id
    is_newest_first = query.order is Order.DESC
    low, high = wanted.from_id or first_id_at(0), wanted.to_id or _AFTER_ALL
    if after_id is not None:
        low, high = (low, min(high, after_id)) if is_newest_first else (max(low, after_id), high)
    values: dict[str, Any] = {
        "low": min(milliseconds_of(low), LAST_MILLISECOND) * PLACES_A_MILLISECOND,
        "high": (min(milliseconds_of(high), LAST_MILLISECOND) + 1) * PLACES_A_MILLISECOND - 1,
        "user_id": query.user_id,
    }
    values["words"] = _expression(connection, owner_term(query.user_id), wanted.words, values)
    sql = _FOUND.format(order="DESC" if is_newest_first else "ASC")
    for seq, interaction_id, *fields in connection.execute(sql, values):
        if low <= interaction_id < high and interaction_id != after_id:
            yield milliseconds_of(interaction_id), seq, interaction_id, _passes(wanted, *fields)


def _expression(
    connection: apsw.Connection, owner: str, words: Collection[str], between: dict[str, Any]
) -> str:
    """Return the FTS5 expression for the user and all words, with a rare word first where there is one.

    FTS5 steps through the rows of all words joined by AND, also through those of a very frequent one. A part in
    brackets is evaluated first, and the others only at its rows. FTS5 removes brackets around AND alone, but keeps
    those around NOT.
    """
    by_length = sorted(words, key=len, reverse=True)  # long ones tend to be rare
    terms = {word: f'"{word}"' for word in by_length}
    if not is_renewed(connection):
        terms = {word: _either_form(word) for word in by_length}
    for word in by_length if len(words) > 1 else ():
        mine = f'"{owner}" AND {terms[word]}'
        values = {**between, "words": mine, "rows": _FEW_ROWS + 1}
        places = connection.execute(_SOME_OF_A_WORD, values).fetchall()
        if not places:
            return f'"{UNOWNED_TERM}"'
        if len(places) <= _FEW_ROWS:
            others = " AND ".join(terms[other] for other in by_length if other != word)
            return f'(({mine}) NOT "{UNOWNED_TERM}") AND {others}'
    return " AND ".join([f'"{owner}"', *terms.values()])


def _either_form(word: str) -> str:
    """Return the FTS5 expression of a word for a file in which some rows may be indexed by their original form.

    It matches more of those than it should; the caller compares their texts.
    """
    decomposed = words_of_decomposed(word)
    if decomposed <= {word}:
        return f'"{word}"'
    joined = " AND ".join(f'"{part}"' for part in sorted(decomposed))
    return f'("{word}" OR ({joined}))'


def _passes(
    wanted: HistoryFilter,
    model: str,
    provider: str | None,
    conversation_id: str | None,
    status: str,
    answered: int,
) -> bool:
    return (
        (status in wanted.statuses if wanted.statuses else bool(answered))
        and wanted.model in (None, model)
        and wanted.provider in (None, provider)
        and wanted.conversation_id in (None, conversation_id)
    )
