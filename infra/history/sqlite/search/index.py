"""The word index in SQLite: updated by triggers with each row, or built for many rows at once."""

# ruff: noqa: S608 - put together from the constants of this file; every value travels as a parameter

import unicodedata
from collections.abc import Iterable

import apsw
import orjson

from domain.entities.words import is_in_words, words_of
from infra.storage.sqlite.migrations import GradualStep

PLACES_A_MILLISECOND = 1 << 16
LAST_MILLISECOND = (1 << 47) - 1
"""In the year 6429: later places exceed SQLite's integers."""

ROWS_AT_ONCE = 20_000
"""Rows of an older file that are indexed in one transaction."""

_GATHERED_BYTES = 16 * 1024 * 1024
"""Index entries that one transaction collects in memory before it writes; a chat's has some kilobytes."""

_OWNER = "\uf8ff"
"""Prefix of the term that names the user: no word contains it."""

UNOWNED_TERM = _OWNER
"""A term that never occurs, since no user has this id."""

_NOT_TOKENIZED_ALIKE = "\u01e0\u01e1"
"""FTS5 removes only one of their two accents."""

_MILLISECONDS = "('0x' || substr({row}.id, 1, 8) || substr({row}.id, 10, 4))"
_OWNER_OF_ROW = f"char({ord(_OWNER)}) || hex({{row}}.user_id) || ' '"
_WORDS = (
    f"{_OWNER_OF_ROW} || replace("
    "coalesce({row}.body ->> 'prompt', '') || ' ' || coalesce({row}.body ->> 'text', ''),"
    f" char({ord(_OWNER)}), ' ')"
)
# The time of an invalid id is 0.
_FIRST_PLACE = (
    f"(iif(json_valid({_MILLISECONDS}, 2), {_MILLISECONDS} ->> '$', 0) & {LAST_MILLISECOND})"
    f" * {PLACES_A_MILLISECOND}"
)
_TABLES = """
CREATE TABLE IF NOT EXISTS place (place INTEGER PRIMARY KEY, seq INTEGER NOT NULL UNIQUE);
CREATE VIRTUAL TABLE IF NOT EXISTS said USING fts5(
    words, content='', detail=none, columnsize=0, tokenize="{tokenize}"
);
INSERT INTO said (said, rank) VALUES ('hashsize', {gathered_bytes});
"""
_TRIGGERS = """
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

# The same as `new_is_said`, for many rows. In the order of places, since FTS5 flushes its memory whenever a rowid is
# lower than the one before. Places are looked up first, so that no bodies are sorted.
_PLACE_ROWS = """
INSERT INTO place SELECT
    coalesce(
        (
            SELECT max(place) + 1 FROM place
            WHERE place BETWEEN first AND first + {last}
        ),
        first
    ) + row_number() OVER (PARTITION BY first ORDER BY id) - 1,
    seq
FROM (
    SELECT seq, id, {first_of_new} AS first FROM interaction AS NEW
    WHERE seq > :after AND seq <= :until
)
"""
_INDEX_ROWS = """
INSERT INTO said (rowid, words)
SELECT place, {words_of_new} FROM place CROSS JOIN interaction AS NEW USING (seq)
WHERE place IN (SELECT place FROM place WHERE seq > :after AND seq <= :until) ORDER BY place
"""
_EXPRESSIONS = {
    "last": PLACES_A_MILLISECOND - 1,
    "first_of_new": _FIRST_PLACE.format(row="NEW"),
    "words_of_new": _WORDS.format(row="NEW"),
    "words_of_old": _WORDS.format(row="OLD"),
    "words_of_row": _WORDS.format(row="i"),
    "owner_of_row": _OWNER_OF_ROW.format(row="i"),
    "owner_of_old": _OWNER_OF_ROW.format(row="OLD"),
}

# Texts that a search for a canonically equivalent text would miss are indexed by their words, as `words_of` returns
# them, instead of their original form. Such rows are indexed twice; all others cost nothing more.
CANONICAL_WORDS = """
CREATE TABLE canonical (seq INTEGER PRIMARY KEY, words TEXT NOT NULL);
CREATE TRIGGER canonical_is_said AFTER INSERT ON canonical BEGIN
    INSERT INTO said (said, rowid, words)
    SELECT 'delete', place, {words_of_row}
    FROM place CROSS JOIN interaction AS i USING (seq) WHERE seq = NEW.seq;
    INSERT INTO said (rowid, words)
    SELECT place, {owner_of_row} || NEW.words
    FROM place CROSS JOIN interaction AS i USING (seq) WHERE seq = NEW.seq;
END;

DROP TRIGGER changed_is_said;
CREATE TRIGGER changed_is_said AFTER UPDATE OF body ON interaction BEGIN
    INSERT INTO said (said, rowid, words)
    SELECT 'delete', place,
        coalesce((SELECT {owner_of_old} || words FROM canonical WHERE seq = OLD.seq), {words_of_old})
    FROM place WHERE seq = OLD.seq;
    DELETE FROM canonical WHERE seq = OLD.seq;
    INSERT INTO said (rowid, words) SELECT place, {words_of_new} FROM place WHERE seq = NEW.seq;
END;
DROP TRIGGER gone_is_not_said;
CREATE TRIGGER gone_is_not_said AFTER DELETE ON interaction BEGIN
    INSERT INTO said (said, rowid, words)
    SELECT 'delete', place,
        coalesce((SELECT {owner_of_old} || words FROM canonical WHERE seq = OLD.seq), {words_of_old})
    FROM place WHERE seq = OLD.seq;
    DELETE FROM canonical WHERE seq = OLD.seq;
    DELETE FROM place WHERE seq = OLD.seq;
END;

-- which rows of an older file may still have to be indexed by their canonical words
CREATE TABLE renewal (next_seq INTEGER NOT NULL, until_seq INTEGER NOT NULL);
INSERT INTO renewal SELECT 1, seq FROM interaction ORDER BY seq DESC LIMIT 1;
""".format(**_EXPRESSIONS)

_INDEX_CANONICALLY = """
INSERT OR IGNORE INTO canonical
SELECT seq, ? FROM interaction WHERE user_id = ? AND id = ? AND body = ?
"""


def index_canonically(connection: apsw.Connection, bodies: Iterable[str]) -> None:
    """Index rows with these bodies by their canonical words where they need it; called within a transaction.

    Rows that do not exist, or that have another body by now, are skipped.
    """
    for body in bodies:
        if is_indexed_as_it_is(body):
            continue
        document = orjson.loads(body)
        words = " ".join(words_of(document.get("prompt") or "", document.get("text") or ""))
        row = (words, document["userId"], document["id"], body)
        connection.execute(_INDEX_CANONICALLY, row)


def is_indexed_as_it_is(body: str) -> bool:
    """Return whether FTS5 finds a body's texts by canonically equivalent ones without further words; fast for most bodies."""
    if body.isascii():
        return True
    return unicodedata.is_normalized("NFC", body) and not any(
        character in body for character in _NOT_TOKENIZED_ALIKE
    )


def owner_term(user_id: str) -> str:
    """Return the term that is in each of a user's rows."""
    return _OWNER + user_id.encode().hex()


def index_rows(connection: apsw.Connection, after_seq: int, until_seq: int) -> None:
    """Index rows that no trigger has indexed, above one `seq` up to another; called within a transaction."""
    rows = {"after": after_seq, "until": until_seq}
    for sql in (_PLACE_ROWS, _INDEX_ROWS):
        connection.execute(sql.format(**_EXPRESSIONS), rows)


class MakeWordIndex(GradualStep):
    """Builds the word index of an older file.

    `place` gives each interaction a number that grows with its time, under which its words are indexed: a search finds
    the newest first without reading all. It also shows how far the building has come.
    """

    def begin(self) -> str:
        return _TABLES.format(tokenize=tokenizer(), gathered_bytes=_GATHERED_BYTES)

    def go_on(self, connection: apsw.Connection) -> float:
        whole, done = connection.execute(
            "SELECT coalesce((SELECT max(seq) FROM interaction), 0), coalesce((SELECT max(seq) FROM place), 0)"
        ).get
        if done >= whole:
            return 1.0
        # `seq` has gaps after erasures; the next piece begins at the next row.
        after = connection.execute(
            "SELECT min(seq) - 1 FROM interaction WHERE seq > ?", (done,)
        ).get
        until = min(after + ROWS_AT_ONCE, whole)
        index_rows(connection, after, until)
        return float(until / whole)

    def end(self) -> str:
        return _TRIGGERS.format(**_EXPRESSIONS)


def tokenizer() -> str:
    """Return the tokenizer options of FTS5, which knows the Unicode of 2012: later symbols are listed as separators."""
    symbols = "".join(
        chr(code)
        for code in range(0x300, 0x20000)
        if not is_in_words(chr(code)) and unicodedata.category(chr(code)) not in ("Co", "Cs")
    )
    return (
        f"unicode61 remove_diacritics 2 categories 'L* N* M*'"
        f" tokenchars '{_OWNER}' separators '{symbols}'"
    )
