"""What only MongoDB's adapter promises: it outlives the server, asks it little and waits for it shortly."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymongo
import pytest

from domain.entities.conversation import ConversationQuery
from domain.entities.history_query import HistoryFilter, HistoryQuery
from domain.entities.interaction import Interaction, Status
from domain.entities.prompt import Prompt
from domain.entities.statistics import GroupBy, StatisticsQuery
from domain.entities.words import words_of
from domain.exceptions import HistoryUnavailable, HistoryUnreadable, Unstorable
from infra.clock import SystemClock
from infra.configuration import ConfigurationError
from infra.history.mongo import statistics as mongo_statistics
from infra.history.mongo.queries import (
    EARLIER_STATISTICS_INDEX,
    EARLIER_WORDS_INDEX,
    WORDS_INDEX,
    filter_of,
)
from infra.history.mongo.store import MongoHistory, open_mongo
from infra.history.mongo.word_codes import codes_of
from tests.contracts.history_stores import MONGO_DATABASE, READ_SECONDS, mongo
from tests.contracts.history_walks import asking, walk
from tests.fakes.interactions import an_id, an_interaction
from tests.support.mongod import Mongod, need_mongod, shared_mongo_uri

PATIENCE_SECONDS = 120.0
LONGEST_READ_SECONDS = 10.0
"""Of 2.5 s, on a busy machine; the driver left alone waits for 30 s and more."""


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[MongoHistory]:
    async with mongo(tmp_path) as history:
        assert isinstance(history, MongoHistory)
        yield history


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Mongod]:
    need_mongod()
    server = Mongod(tmp_path / "mongod")
    yield server
    server.kill()


@asynccontextmanager
async def opened(server: Mongod) -> AsyncIterator[MongoHistory]:
    async with open_mongo(
        server.uri, database="rt", clock=SystemClock(), read_seconds=2.5
    ) as history:
        yield history


async def until_kept(history: MongoHistory, number: int) -> None:
    """Append until it is kept."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await history.append(an_interaction(number))
            except HistoryUnavailable:
                await asyncio.sleep(0.05)


async def found_by(history: MongoHistory) -> list[Interaction]:
    """Return all of the history; nothing while it cannot be read."""
    try:
        return await walk(history, asking())
    except HistoryUnreadable:
        return []


@pytest.mark.slow
@pytest.mark.realtime
async def test_it_starts_without_the_server_and_heals_by_itself(server: Mongod) -> None:
    async with opened(server) as history:
        history.admit()
        started = time.monotonic()
        attempts = await asyncio.gather(
            history.search(asking()),
            history.find("ana", an_id()),
            history.erase("ana", an_id()),
            history.erase_all("ana", an_id()),
            history.append(an_interaction()),
            return_exceptions=True,
        )
        assert time.monotonic() - started < LONGEST_READ_SECONDS
        assert [type(one) for one in attempts] == [*[HistoryUnreadable] * 4, HistoryUnavailable]
        with pytest.raises(HistoryUnavailable):
            await history.append(an_interaction())

        with pytest.raises(HistoryUnavailable):
            history.admit()
        assert [one.component for one in history.reachability.degraded()] == ["MongoDB"]

        await asyncio.to_thread(server.start)
        await until_admitted(history)
        assert history.reachability.degraded() == ()
        await until_kept(history, 1)
        assert await walk(history, asking()) == [an_interaction(1)]
        await until_indexed(server)


async def until_admitted(history: MongoHistory) -> None:
    """Return once it says that it can keep something; nothing is written to find that out."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while history.reachability.is_away:
            await asyncio.sleep(0.05)
    history.admit()


async def until_indexed(server: Mongod) -> None:
    """Return once all indexes are there."""
    async with (
        pymongo.AsyncMongoClient[dict[str, object]](server.uri) as client,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        while len(await client["rt"]["interactions"].index_information()) < 7:
            await asyncio.sleep(0.1)


@pytest.mark.realtime
async def test_a_server_that_hangs_is_not_waited_for(server: Mongod) -> None:
    await asyncio.to_thread(server.start)
    async with opened(server) as history:
        await until_kept(history, 1)
        server.pause()
        try:
            started = time.monotonic()
            with pytest.raises(HistoryUnreadable):
                await history.search(asking())
            assert time.monotonic() - started < LONGEST_READ_SECONDS
        finally:
            server.resume()
        await until_kept(history, 2)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await found_by(history) != [an_interaction(2), an_interaction(1)]:
                await asyncio.sleep(0.05)


async def test_no_call_of_the_driver_is_ever_broken_off(server: Mongod) -> None:
    """A cancellation in the wrong moment leaves its lock held by nobody, and every call after it waits for ever."""
    async with opened(server) as history:
        callers = [
            asyncio.create_task(call)
            for call in (
                history.search(asking()),
                history.find("ana", an_id()),
                history.append_many([an_interaction()]),
                history.erase("ana", an_id()),
                history.erase_all("ana", an_id()),
                history.erased_among("ana", [an_id()]),
                history.conversations(ConversationQuery(user_id="ana")),
            )
        ]
        await asyncio.sleep(0.2)
        under_way = [one for one in asyncio.all_tasks() if "pymongo" in _innermost_file(one)]
        assert len(under_way) >= len(callers)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        assert all(caller.cancelled() for caller in callers)
        assert [one for one in under_way if one.cancelling() or one.cancelled()] == []
        await asyncio.wait(under_way, timeout=PATIENCE_SECONDS)


def _innermost_file(task: asyncio.Task[Any]) -> str:
    awaited: Any = task.get_coro()
    file = ""
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        file = frame.f_code.co_filename
        awaited = awaited.cr_await
    return file


@pytest.mark.slow
async def test_what_was_acknowledged_survives_the_server_being_killed(server: Mongod) -> None:
    await asyncio.to_thread(server.start)
    acknowledged: list[int] = []
    async with opened(server) as history:

        async def write(first: int) -> None:
            for number in range(first, first + 100_000):
                try:
                    await history.append(an_interaction(number))
                except HistoryUnavailable:
                    await asyncio.sleep(0.02)
                else:
                    acknowledged.append(number)

        writers = [asyncio.create_task(write(n * 1_000_000)) for n in range(20)]
        for _ in range(2):
            aim = len(acknowledged) + 300
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(acknowledged) < aim:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await until_kept(history, 999_999_999)
        found = {one.id for one in await walk(history, asking())}

    assert {an_id(number) for number in acknowledged} <= found


async def test_a_page_examines_no_more_than_it_shows(history: MongoHistory) -> None:
    everything = [an_interaction(number, model=f"m{number % 2}") for number in range(1000)]
    for start in range(0, 1000, 250):
        await history.append_many(everything[start : start + 250])
    async with asyncio.timeout(PATIENCE_SECONDS):
        await history.make_indexes()

    for wanted, after in (
        (HistoryFilter(), 900),
        (HistoryFilter(), 100),
        (HistoryFilter(model="m1"), 100),
        (HistoryFilter(words=words_of("question")), 900),
        (HistoryFilter(words=words_of("question 77 answer")), 900),
        (HistoryFilter(words=words_of("question 1000")), 900),
        (HistoryFilter(provider="scripted"), 100),
        (HistoryFilter(provider="nobody"), 900),
        (HistoryFilter(statuses=frozenset({Status.FAILED, Status.INTERRUPTED})), 900),
    ):
        query = HistoryQuery(user_id="ana", filter=wanted, after_id=an_id(after))
        plan: dict[str, Any] = (
            await history._interactions.find(
                filter_of(query, have_codes=True), hint=WORDS_INDEX if wanted.words else None
            )
            .sort("_id", -1)
            .limit(21)
            .explain()
        )
        # Trying plans out costs a few more where several would do; reading all of it would be 900.
        most = 22 if wanted == HistoryFilter() else 60
        assert wanted.words or plan["executionStats"]["totalKeysExamined"] <= most
        assert plan["executionStats"]["totalDocsExamined"] <= most
        assert "'SORT'" not in str(plan["queryPlanner"]["winningPlan"])  # merged, at most


@asynccontextmanager
async def profiled(history: MongoHistory) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield a list that has, after the block, the server's profile of every read of interactions within it."""
    database = history._interactions.database
    reads: list[dict[str, Any]] = []
    await database.command("profile", 2)
    try:
        yield reads
        wanted = {"ns": f"{database.name}.interactions", "op": {"$in": ["query", "command"]}}
        reads += await database["system.profile"].find(wanted).to_list()
    finally:
        await database.command("profile", 0)
        await database["system.profile"].drop()


async def test_statistics_read_one_index_and_no_document(history: MongoHistory) -> None:
    await history.append_many([an_interaction(number) for number in range(100)])
    await history.make_indexes()
    async with profiled(history) as reads:
        for by in GroupBy:
            (group,) = await history.statistics(StatisticsQuery(user_id="ana", by=by))
            assert group.interactions == 100
    aggregations = [read for read in reads if "failures" in str(read["command"])]
    assert len(aggregations) == len(GroupBy)
    for read in aggregations:
        assert read["docsExamined"] == 0
        assert read["keysExamined"] <= 101


async def test_many_interactions_are_added_up_in_parts_that_miss_and_repeat_none(
    history: MongoHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [0, 1, 500, 999, 1000, 1001, 1999, 2000, 2001, 3000, 3001, 3999, 4000]
    await history.append_many([an_interaction(number) for number in numbers])
    queries = [StatisticsQuery(user_id="ana", by=by) for by in GroupBy]
    whole = [await history.statistics(query) for query in queries]
    monkeypatch.setattr(mongo_statistics, "_MANY", len(numbers))
    assert [await history.statistics(query) for query in queries] == whole
    assert whole[0][0].interactions == len(numbers)


async def test_a_search_reads_the_documents_it_shows_and_few_others(history: MongoHistory) -> None:
    await history.append_many([an_interaction(number) for number in range(100)])
    await history.renew_words()
    await history.make_indexes()
    async with profiled(history) as reads:
        assert await walk(history, asking(words=words_of("zeppelin"))) == []
    (read,) = [read for read in reads if "filter" in read["command"]]
    assert read["keysExamined"] == 100
    assert read["docsExamined"] <= 1  # a code may match by chance


async def test_words_that_share_a_code_are_not_found_for_each_other(history: MongoHistory) -> None:
    alike = words_that_share_a_code()
    for number, word in enumerate(alike):
        await history.append(an_interaction(number, prompt=Prompt.from_text(word)))
    await history.renew_words()
    await history.make_indexes()
    for number, word in enumerate(alike):
        found = await walk(history, asking(words=words_of(word)))
        assert [one.id for one in found] == [an_id(number)]


def words_that_share_a_code() -> list[str]:
    of_code: dict[str, str] = {}
    for number in range(1_000_000):
        word = f"w{number}"
        if (other := of_code.setdefault(codes_of([word]), word)) != word:
            return [other, word]
    raise AssertionError("no words share a code")


async def test_a_text_of_very_many_words_is_found_by_each(history: MongoHistory) -> None:
    text = " ".join([f"w{number}" for number in range(5000)])
    await history.append_many([an_interaction(1, prompt=Prompt.from_text(text)), an_interaction(2)])
    await history.renew_words()
    await history.make_indexes()
    for word in ("w0", "w4999"):
        found = await walk(history, asking(words=words_of(word)))
        assert [one.id for one in found] == [an_id(1)]
    assert await walk(history, asking(words=words_of("w5000"))) == []


async def test_the_earlier_index_of_words_is_dropped_when_all_documents_have_codes(
    server: Mongod,
) -> None:
    await asyncio.to_thread(server.start)
    async with pymongo.AsyncMongoClient[dict[str, object]](server.uri) as client:
        interactions = client["rt"]["interactions"]
        earlier = pymongo.IndexModel([("userId", 1), ("words", 1), ("_id", -1)])
        await interactions.create_indexes([earlier])  # of a process of an earlier version
        async with opened(server) as history, asyncio.timeout(PATIENCE_SECONDS):
            await history.renew_words()
            assert EARLIER_WORDS_INDEX not in await interactions.index_information()


async def test_the_earlier_index_of_statistics_is_dropped_once_there_is_another(
    server: Mongod,
) -> None:
    await asyncio.to_thread(server.start)
    async with pymongo.AsyncMongoClient[dict[str, object]](server.uri) as client:
        interactions = client["rt"]["interactions"]
        earlier = pymongo.IndexModel(
            [("userId", 1), ("_id", -1), ("answered", 1)], name=EARLIER_STATISTICS_INDEX
        )
        await interactions.create_indexes([earlier])  # of a process of an earlier version
        async with opened(server) as history, asyncio.timeout(PATIENCE_SECONDS):
            await history.make_indexes()
            names = await interactions.index_information()
            assert EARLIER_STATISTICS_INDEX not in names
            assert "figures" in names


async def test_writes_wait_for_the_majoritys_journals(history: MongoHistory) -> None:
    for collection in (history._interactions, history._erasures._collection):
        assert collection.write_concern.document == {"w": "majority", "j": True, "wtimeout": 5000}


async def test_what_the_server_refuses_for_its_content_is_told_apart(history: MongoHistory) -> None:
    await history.make_indexes()  # creates the collection
    async with pymongo.AsyncMongoClient[dict[str, object]](shared_mongo_uri()) as client:
        database = client[MONGO_DATABASE]
        await database.command("collMod", "interactions", validator={"text": {"$ne": "refused"}})
        try:
            with pytest.raises(Unstorable):
                await history.append_many([an_interaction(1), an_interaction(2, text="refused")])
            assert await history.find("ana", an_id(1)) == an_interaction(1)
        finally:
            await database.command("collMod", "interactions", validator={})


async def test_what_cannot_be_a_document_is_told_apart(history: MongoHistory) -> None:
    with pytest.raises(Unstorable):
        await history.append(an_interaction(prompt=replace(an_interaction().prompt, seed=2**64)))


async def test_a_document_of_a_newer_program_cannot_be_read(history: MongoHistory) -> None:
    await history.append(an_interaction())
    async with pymongo.AsyncMongoClient[dict[str, object]](shared_mongo_uri()) as client:
        await client[MONGO_DATABASE]["interactions"].update_one(
            {"_id": an_id()}, {"$set": {"v": 2}}
        )

    with pytest.raises(HistoryUnreadable):
        await history.find("ana", an_id())
    with pytest.raises(HistoryUnreadable):
        await history.search(asking())


async def test_it_says_which_of_several_were_erased(history: MongoHistory) -> None:
    await history.erase("ana", an_id(7))
    await history.erase_all("ana", an_id(3))
    await history.erase_all("bob", an_id(9))

    asked = [an_id(number) for number in (2, 3, 4, 7, 8)]
    assert await history.erased_among("ana", asked) == {an_id(2), an_id(3), an_id(7)}
    assert await history.erased_among("eve", asked) == frozenset()
    assert await history.erased_among("ana", []) == frozenset()


@pytest.mark.parametrize("uri", ["", "mongo://ana:secret@host", "mongodb://ana:secret:@host:port/"])
async def test_a_uri_that_is_none_is_told_without_its_password(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="MONGO_URI") as caught:
        async with open_mongo(uri, database="rt", clock=SystemClock(), read_seconds=READ_SECONDS):
            pass
    assert "secret" not in str(caught.value)
