"""Searching history by words in SQLite: an index within the same transactions, read from one end of time."""

import unicodedata
from collections.abc import Iterator
from typing import Any

import apsw
import orjson

from domain.entities.history_query import HistoryFilter, HistoryQuery, Order, Page
from domain.entities.interaction import first_id_at, milliseconds_of
from domain.entities.words import is_in_words
from infra.history.documents import interaction_of

SCANNED_ROWS = 10_000
"""What one page looks through for the other filters; then it ends early and tells where to go on."""

PLACES_A_MILLISECOND = 1 << 16
_LAST_MILLISECOND = (1 << 47) - 1
"""In the year 6429; beyond it SQLite's numbers end."""
_AFTER_ALL = first_id_at(1 << 48)
_OWNER = "\uf8ff"
"""Marks the user among the words: no word holds it."""

_MILLISECONDS = "('0x' || substr({row}.id, 1, 8) || substr({row}.id, 10, 4))"
_WORDS = (
    f"char({ord(_OWNER)}) || hex({{row}}.user_id) || ' ' || replace("
    "coalesce({row}.body ->> 'prompt', '') || ' ' || coalesce({row}.body ->> 'text', ''),"
    f" char({ord(_OWNER)}), ' ')"
)
# Of an id that is none the time is 0.
_FIRST_PLACE = (
    f"(iif(json_valid({_MILLISECONDS}, 2), {_MILLISECONDS} ->> '$', 0) & {_LAST_MILLISECOND})"
    f" * {PLACES_A_MILLISECOND}"
)
_INDEX = """
CREATE TABLE place (place INTEGER PRIMARY KEY, seq INTEGER NOT NULL UNIQUE);
CREATE VIRTUAL TABLE said USING fts5(
    words, content='', detail=none, columnsize=0, tokenize="{tokenize}"
);

INSERT INTO place
SELECT first + row_number() OVER (PARTITION BY first ORDER BY id) - 1, seq
FROM (SELECT seq, id, {first_of_old} AS first FROM interaction AS old);
INSERT INTO said (rowid, words)
SELECT place, {words_of_old} FROM place JOIN interaction AS old USING (seq) ORDER BY place;

CREATE TRIGGER new_is_said AFTER INSERT ON interaction BEGIN
    INSERT INTO place SELECT coalesce(max(place) + 1, {first_of_new}), NEW.seq FROM place
    WHERE place BETWEEN {first_of_new} AND {first_of_new} + {last};
    INSERT INTO said (rowid, words) SELECT place, {words_of_new} FROM place WHERE seq = NEW.seq;
END;
CREATE TRIGGER changed_is_said AFTER UPDATE OF body ON interaction BEGIN
    INSERT INTO said (said, rowid, words)
    SELECT 'delete', place, {words_of_old} FROM place WHERE seq = OLD.seq;
    INSERT INTO said (rowid, words) SELECT place, {words_of_new} FROM place WHERE seq = NEW.seq;
END;
CREATE TRIGGER gone_is_not_said AFTER DELETE ON interaction BEGIN
    INSERT INTO said (said, rowid, words)
    SELECT 'delete', place, {words_of_old} FROM place WHERE seq = OLD.seq;
    DELETE FROM place WHERE seq = OLD.seq;
END;
"""

_FOUND = """
SELECT i.seq, i.id, i.model, i.provider, i.conversation_id, i.status, i.answered
FROM said CROSS JOIN place ON place.place = said.rowid CROSS JOIN interaction AS i ON i.seq = place.seq
WHERE said MATCH :words AND said.rowid BETWEEN :low AND :high AND i.user_id = :user_id
ORDER BY said.rowid {order}
"""
_BODIES = """
SELECT CAST(group_concat(body, ',' ORDER BY id {order}) AS BLOB) FROM interaction
WHERE seq IN (SELECT value FROM json_each(?))
"""


def index_of_words() -> str:
    """Return the statements that make the index and fill it from what is there.

    `place` gives each interaction a number that grows with its time, under which its words are indexed: so they are
    found newest first without looking at all of them. FTS5 knows the Unicode of 2012; younger symbols are named here.
    """
    symbols = "".join(
        chr(code)
        for code in range(0x300, 0x20000)
        if not is_in_words(chr(code)) and unicodedata.category(chr(code)) not in ("Co", "Cs")
    )
    tokenize = (
        f"unicode61 remove_diacritics 2 categories 'L* N* M*'"
        f" tokenchars '{_OWNER}' separators '{symbols}'"
    )
    return _INDEX.format(
        tokenize=tokenize,
        last=PLACES_A_MILLISECOND - 1,
        first_of_old=_FIRST_PLACE.format(row="old"),
        first_of_new=_FIRST_PLACE.format(row="NEW"),
        words_of_old=_WORDS.format(row="old"),
        words_of_new=_WORDS.format(row="NEW"),
    )


def search(connection: apsw.Connection, query: HistoryQuery) -> Page:
    """Return one page of `query`, which asks for words; all of one state of the file."""
    with connection:
        picked, next_id = _picked(connection, query)
        order = "DESC" if query.order is Order.DESC else "ASC"
        seqs = orjson.dumps([seq for _, seq in picked]).decode()
        joined = connection.execute(_BODIES.format(order=order), (seqs,)).get
    documents = [] if joined is None else orjson.loads(b"[" + joined + b"]")
    return Page(interactions=[interaction_of(one) for one in documents], next_id=next_id)


def _picked(
    connection: apsw.Connection, query: HistoryQuery
) -> tuple[list[tuple[str, int]], str | None]:
    """Return ids and rows of the page, and the `next_id` of the page.

    Places follow time to the millisecond; within one, ids are put in order here. So what is looked at ends with a
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
        scanned = []  # to the end
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
    """Yield time, row and id of what holds the words, in order of time, and whether it passes the rest of the filter."""
    wanted, after_id = query.filter, query.after_id
    is_newest_first = query.order is Order.DESC
    low, high = wanted.from_id or first_id_at(0), wanted.to_id or _AFTER_ALL
    if after_id is not None:
        low, high = (low, min(high, after_id)) if is_newest_first else (max(low, after_id), high)
    values: dict[str, Any] = {
        "words": " ".join(f'"{word}"' for word in (_owner(query.user_id), *sorted(wanted.words))),
        "low": min(milliseconds_of(low), _LAST_MILLISECOND) * PLACES_A_MILLISECOND,
        "high": (min(milliseconds_of(high), _LAST_MILLISECOND) + 1) * PLACES_A_MILLISECOND - 1,
        "user_id": query.user_id,
    }
    sql = _FOUND.format(order="DESC" if is_newest_first else "ASC")
    for seq, interaction_id, *fields in connection.execute(sql, values):
        if low <= interaction_id < high and interaction_id != after_id:
            yield milliseconds_of(interaction_id), seq, interaction_id, _passes(wanted, *fields)


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


def _owner(user_id: str) -> str:
    return _OWNER + user_id.encode().hex()
