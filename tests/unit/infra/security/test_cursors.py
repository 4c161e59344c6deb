"""A cursor can be carried, not made, and fits one walk only."""

import asyncio
import base64
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.entities.history_query import HistoryFilter, HistoryQuery, Order
from domain.entities.interaction import Status
from domain.exceptions import InvalidCursor
from infra.configuration import ConfigurationError
from infra.security.cursors import SignedCursors, load_or_make_secret
from tests.fakes.interactions import an_id

CURSORS = SignedCursors(b"a secret of at least thirty-two bytes")
QUERY = HistoryQuery(user_id="ana")

queries = st.builds(
    HistoryQuery,
    user_id=st.sampled_from(["ana", "bob", "an", "a"]),
    filter=st.builds(
        HistoryFilter,
        model=st.sampled_from([None, "a", "b"]),
        provider=st.sampled_from([None, "a", "b"]),
        conversation_id=st.sampled_from([None, "a", "b"]),
        statuses=st.frozensets(st.sampled_from(Status)),
        from_id=st.sampled_from([None, an_id(1)]),
        to_id=st.sampled_from([None, an_id(1)]),
        words=st.frozensets(st.sampled_from(["a", "b", "ab", an_id(1)])),
    ),
    order=st.sampled_from(Order),
    limit=st.integers(1, 100),
)
ids = st.integers(0, 2**40).map(an_id)


@given(queries, ids)
def test_a_cursor_leads_back_to_its_place(query: HistoryQuery, next_id: str) -> None:
    cursor = CURSORS.encode(query, next_id)

    assert CURSORS.decode(query, cursor) == next_id
    assert CURSORS.decode(replace(query, limit=query.limit % 100 + 1), cursor) == next_id
    assert CURSORS.decode(replace(query, after_id=next_id), cursor) == next_id


@given(queries, queries, ids)
def test_a_cursor_fits_no_other_walk(
    query: HistoryQuery, other: HistoryQuery, next_id: str
) -> None:
    cursor = CURSORS.encode(query, next_id)
    if replace(query, limit=1) != replace(other, limit=1):
        with pytest.raises(InvalidCursor):
            CURSORS.decode(other, cursor)


@settings(max_examples=20, deadline=None)
@given(queries, ids)
def test_every_flipped_bit_is_noticed(query: HistoryQuery, next_id: str) -> None:
    cursor = CURSORS.encode(query, next_id).encode()
    for position in range(len(cursor)):
        for bit in range(8):
            edited = bytearray(cursor)
            edited[position] ^= 1 << bit
            with pytest.raises(InvalidCursor):
                CURSORS.decode(query, edited.decode("latin-1"))


@settings(max_examples=20, deadline=None)
@given(queries, ids)
def test_every_flipped_bit_of_what_it_encodes_is_noticed(query: HistoryQuery, next_id: str) -> None:
    cursor = CURSORS.encode(query, next_id)
    sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for position in range(len(sealed)):
        for bit in range(8):
            edited = bytearray(sealed)
            edited[position] ^= 1 << bit
            with pytest.raises(InvalidCursor):
                CURSORS.decode(query, base64.urlsafe_b64encode(edited).rstrip(b"=").decode())


@given(st.text(max_size=300))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.decode(QUERY, text)


@pytest.mark.parametrize("added", ["=", "==", "A", "\n", " ", "\0", "é"])
def test_a_cursor_has_one_spelling(added: str) -> None:
    cursor = CURSORS.encode(QUERY, an_id())
    for edited in (cursor + added, added + cursor, cursor[:-1]):
        with pytest.raises(InvalidCursor):
            CURSORS.decode(QUERY, edited)


def test_another_secret_does_not_open_it() -> None:
    with pytest.raises(InvalidCursor):
        SignedCursors(b"another").decode(QUERY, CURSORS.encode(QUERY, an_id()))


def test_a_cursor_does_not_show_the_user() -> None:
    cursor = CURSORS.encode(replace(QUERY, user_id="ana-maria"), an_id())

    assert b"ana-maria" not in base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="secret"):
        SignedCursors(b"")


def test_a_secret_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "data" / "cursor.secret"
    secret = load_or_make_secret(path)

    assert len(secret) == 32
    assert load_or_make_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


async def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    path = tmp_path / "cursor.secret"
    secrets = await asyncio.gather(
        *(asyncio.to_thread(load_or_make_secret, path) for _ in range(30))
    )

    assert len(set(secrets)) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content", [b"", b"abcd", b"not hex, but long enough to be one" * 4, b"\xff" * 64]
)
def test_a_file_that_is_no_secret_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cursor.secret"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"cursor\.secret"):
        load_or_make_secret(path)


def test_a_secret_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"cursor\.secret"):
        load_or_make_secret(tmp_path / "file" / "cursor.secret")
