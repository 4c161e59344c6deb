"""The embedded store's index of words: kept with the rows, cheap to read at any depth, and gone with what is erased."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from domain.entities.history_query import Order
from domain.entities.interaction import Status
from domain.entities.prompt import Prompt
from domain.entities.words import words_of
from infra.clock import SystemClock
from infra.history.format.documents import record_of
from infra.history.sqlite.read_pool import ReadConnections
from infra.history.sqlite.schema import HISTORY_MIGRATIONS, open_writer
from infra.history.sqlite.search import query as sqlite_words
from infra.history.sqlite.store import HISTORY_FILE, SqliteHistory, open_sqlite
from infra.history.sqlite.write_jobs import insert
from tests.contracts.history_walks import asking, mixed, passes, walk
from tests.fakes.interactions import an_id, an_interaction


def opened(folder: Path) -> object:
    return open_sqlite(folder, clock=SystemClock(), read_seconds=10.0, min_free_disk_bytes=0)


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[SqliteHistory]:
    async with opened(tmp_path) as history:  # type: ignore[attr-defined]
        yield history


async def test_a_file_of_before_is_searched_as_well(tmp_path: Path) -> None:
    before = [mixed(number) for number in range(50)]
    with closing(open_writer(tmp_path / HISTORY_FILE, HISTORY_MIGRATIONS[:2])) as connection:
        insert(connection, tuple([record_of(one).body.decode() for one in reversed(before)]))
    async with opened(tmp_path) as history:  # type: ignore[attr-defined]
        await history.append(an_interaction(50, text="answer too"))
        found = await walk(history, asking(limit=7, words=words_of("answer"), order=Order.ASC))
        assert found == [
            *[one for one in before if passes(one)],
            an_interaction(50, text="answer too"),
        ]
        assert await history.erase_all("ana", an_id(40)) == 41
        found = await walk(history, asking(words=words_of("answer")))
        assert [one.id for one in found][-1] > an_id(40)


async def test_every_row_stays_in_the_index_exactly_once(history: SqliteHistory) -> None:
    interrupted = [an_interaction(n, status=Status.INTERRUPTED, text="") for n in range(20)]
    await history.append_many(interrupted)
    await history.append_many([an_interaction(n) for n in range(10, 30)])
    await history.append_many([an_interaction(n) for n in range(10, 30)])
    for number in range(5, 15):
        await history.erase("ana", an_id(number))

    def check(connections: ReadConnections) -> tuple[int, int, int]:
        connection = connections.to(history.path)
        return (
            connection.execute("SELECT count(*) FROM interaction").get,
            connection.execute("SELECT count(*) FROM place JOIN interaction USING (seq)").get,
            connection.execute("SELECT count(*) FROM said('question')").get,
        )

    assert await history.reads.run(check) == (20, 20, 20)
    await history.erase_all("ana", an_id(99))
    assert await history.reads.run(check) == (0, 0, 0)


async def test_no_word_of_what_was_erased_is_left_in_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path) as history:  # type: ignore[attr-defined]
        for number in range(50):
            text = f"canary{number:03d} finch{number:03d}"
            await history.append(an_interaction(number, prompt=Prompt.from_text("?"), text=text))
        await history.append(an_interaction(99, text="heron"))
        await history.erase("ana", an_id(7))
        await history.erase_all("ana", an_id(49))
        await history.purge_words()
        await history.purge_words()
    content = (tmp_path / HISTORY_FILE).read_bytes()
    assert b"heron" in content
    assert b"anary" not in content
    assert b"inch" not in content


async def test_a_page_that_looked_far_enough_ends_early_and_goes_on(
    history: SqliteHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_words, "SCANNED_ROWS", 10)
    everything = [mixed(number) for number in range(120)]
    await history.append_many(everything)
    page = await history.search(asking(words=words_of("question"), provider="nobody"))
    assert (list(page.interactions), page.next_id) == ([], an_id(110))
    for order in Order:
        for limit in (1, 4, 100):
            found = await walk(
                history,
                asking(order=order, limit=limit, words=words_of("question"), provider="gemini"),
            )
            expected = [one for one in everything if passes(one, provider="gemini")]
            assert found == (expected if order is Order.ASC else expected[::-1])


@pytest.mark.parametrize("order", Order)
async def test_a_page_costs_the_same_at_any_depth_and_among_any_number_of_others(
    history: SqliteHistory, order: Order
) -> None:
    """Counted in rows the index hands out: no more than are shown."""
    for start in range(0, 2000, 250):
        await history.append_many(
            [
                an_interaction(n, user_id=("ana", "bob", "eve", "joe")[n % 4])
                for n in range(start, start + 250)
            ]
        )

    def handed_out(connections: ReadConnections) -> int:
        query = asking(words=words_of("question"), order=order, limit=20, after_id=an_id(1000))
        picked, _ = sqlite_words._picked(connections.to(history.path), query)
        assert len(picked) == 20
        rows = sqlite_words._found(connections.to(history.path), query)
        return sum(1 for _ in zip(rows, range(21), strict=False))

    assert await history.reads.run(handed_out) == 21

    def explain(connections: ReadConnections) -> list[str]:
        sql = sqlite_words._FOUND.format(order="DESC" if order is Order.DESC else "ASC")
        values = {"words": '"a"', "low": 0, "high": 1, "user_id": "ana"}
        rows = connections.to(history.path).execute("EXPLAIN QUERY PLAN " + sql, values)
        return [str(row[3]) for row in rows]

    plan = await history.reads.run(explain)
    assert not [step for step in plan if "B-TREE" in step]


async def test_an_id_that_carries_no_time_does_no_harm(history: SqliteHistory) -> None:
    odd = an_interaction(id="not-an-id")
    await history.append_many([odd, an_interaction(1)])
    assert await history.find("ana", "not-an-id") == odd
    assert await walk(history, asking(words=words_of("question 1"))) == [an_interaction(1)]
    await history.erase("ana", "not-an-id")
    assert await history.find("ana", "not-an-id") is None


@pytest.mark.parametrize("few_rows", [0, 2, 50])
@pytest.mark.parametrize("order", Order)
async def test_several_words_find_the_same_whichever_of_them_leads(
    history: SqliteHistory, monkeypatch: pytest.MonkeyPatch, order: Order, few_rows: int
) -> None:
    monkeypatch.setattr(sqlite_words, "_FEW_ROWS", few_rows)
    texts = ["everyday", "everyday heron", "heron", "everyday finch heron", "finch"] * 12
    mine = [an_interaction(number, text=text) for number, text in enumerate(texts)]
    others = [
        an_interaction(number, user_id="bob", text="everyday heron finch wren")
        for number in range(100, 160)
    ]
    await history.append_many([*mine, *others, an_interaction(60, text="everyday wren")])
    mine.append(an_interaction(60, text="everyday wren"))
    for words in (
        "everyday heron",
        "finch everyday heron",
        "everyday wren",
        "wren heron",
        "owl wren",
    ):
        found = await walk(history, asking(limit=7, words=words_of(words), order=order))
        wanted = [one for one in mine if words_of(words) <= words_of(one.text)]
        assert found == (wanted if order is Order.ASC else wanted[::-1])
