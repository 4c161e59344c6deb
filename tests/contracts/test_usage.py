"""What every store adds up over all users."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.entities.interaction import Interaction, Status, first_id_at
from domain.entities.reply import NO_USAGE, Usage
from domain.entities.statistics import DAY_MILLISECONDS, Day
from domain.entities.usage.report import UsageFigures, UsageQuery
from domain.exceptions import HistoryUnreadable
from domain.interfaces.history import UsageReader
from infra.clock import SystemClock
from infra.history.dynamodb.items import HAS_USAGE, key_of
from infra.history.sqlite.outbox.outbox import open_outbox
from infra.history.store.retention import RetainedUsage, Retention
from tests.contracts.history_stores import STORES, dynamodb, sqlite
from tests.contracts.test_conversation_records import dynamodb_away, mongo_away
from tests.fakes.clock import START_MILLISECONDS, FakeClock
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction
from tests.fakes.unreliable_store import UnreliableStore

MIDNIGHT = START_MILLISECONDS // DAY_MILLISECONDS * DAY_MILLISECONDS + DAY_MILLISECONDS
KEYS = ("k3j5h2m9x0ab", "token", "anonymous", None)


@asynccontextmanager
async def in_memory(_folder: Path) -> AsyncIterator[InMemoryHistory]:
    yield InMemoryHistory()


OPENED = {**STORES, "in memory": in_memory}


@pytest.fixture(params=OPENED)
async def history(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    opening: AbstractAsyncContextManager[Any] = OPENED[request.param](tmp_path)
    async with opening as history:
        yield history


async def sums(
    history: UsageReader, **query: str | tzinfo
) -> dict[tuple[str, str, str | None], UsageFigures]:
    limits = {
        "from_id": first_id_at(MIDNIGHT - 20 * DAY_MILLISECONDS),
        "to_id": first_id_at(MIDNIGHT + 20 * DAY_MILLISECONDS),
    }
    found = await history.usage(UsageQuery(**{**limits, **query}))  # type: ignore[arg-type]
    by_key = {(one.day, one.model, one.credential): one.figures for one in found}
    assert len(by_key) == len(found)
    return by_key


def varied(number: int) -> Interaction:
    """Return one of a history over five days, of three users, two models, three keys and every status."""
    return an_interaction(
        number,
        id=an_id(number, milliseconds=MIDNIGHT + number * 2_500_000),
        user_id=("ana", "bob", "eve")[number % 3],
        model=("large", "small")[number % 2],
        credential=KEYS[number % len(KEYS)],
        status=list(Status)[number % len(Status)],
        text="" if number % 4 == 0 else "text",
        usage=NO_USAGE
        if number % 5 == 0
        else Usage(
            input_tokens=number,
            output_tokens=2 * number if number % 7 else None,
            reasoning_tokens=3 * number if number % 2 else None,
            cached_input_tokens=5 * number if number % 3 else None,
            cache_write_tokens=7 * number if number % 4 else None,
            cost_usd=number / 1000 if number % 3 else None,
        ),
    )


def expected(kept: list[Interaction]) -> UsageFigures:
    """Add up by the words of the port rather than a store's."""
    costs = [one.usage.cost_usd for one in kept if one.usage.cost_usd is not None]
    return UsageFigures(
        interactions=len(kept),
        failures=sum(one.status in (Status.FAILED, Status.INTERRUPTED) for one in kept),
        input_tokens=sum(one.usage.input_tokens or 0 for one in kept),
        output_tokens=sum(one.usage.output_tokens or 0 for one in kept),
        reasoning_tokens=sum(one.usage.reasoning_tokens or 0 for one in kept),
        cached_input_tokens=sum(one.usage.cached_input_tokens or 0 for one in kept),
        cache_write_tokens=sum(one.usage.cache_write_tokens or 0 for one in kept),
        cost_usd=pytest.approx(sum(costs)) if costs else None,
    )


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["UTC", "America/Sao_Paulo", "Asia/Kathmandu"])
async def test_all_users_add_up_by_day_model_and_credential(history: Any, zone: str) -> None:
    kept = [varied(number) for number in range(150)]
    await history.append_many(kept)
    await history.append_many(kept[:20])
    time_zone = ZoneInfo(zone)

    def key(one: Interaction) -> tuple[str, str, str | None]:
        return Day.around(one.milliseconds, time_zone).key, one.model, one.credential

    keys = {key(one) for one in kept}
    assert len(keys) > 15
    assert await sums(history, time_zone=time_zone) == {
        each: expected([one for one in kept if key(one) == each]) for each in keys
    }


async def test_days_begin_at_local_midnight_also_where_clocks_are_changed(history: Any) -> None:
    time_zone = ZoneInfo("Europe/Berlin")
    first = round(datetime(2026, 3, 29, tzinfo=time_zone).timestamp() * 1000)
    end = first + 23 * 3_600_000
    moments = [first - 1, first, (first + end) // 2, end - 1, end]
    await history.append_many([an_interaction(id=an_id(milliseconds=one)) for one in moments])
    found = await sums(
        history, from_id=first_id_at(first - 1), to_id=first_id_at(end + 1), time_zone=time_zone
    )
    assert {day: figures.interactions for (day, _, _), figures in found.items()} == {
        "2026-03-28": 1,
        "2026-03-29": 3,
        "2026-03-30": 1,
    }


async def test_a_range_of_time_is_half_open(history: Any) -> None:
    for number in range(5):
        await history.append(an_interaction(number, user_id=f"user-{number}"))
    found = await sums(history, from_id=an_id(1), to_id=an_id(3))
    assert [figures.interactions for figures in found.values()] == [2]
    assert await sums(history, from_id=an_id(3), to_id=an_id(3)) == {}
    assert await sums(history, from_id=an_id(4), to_id=an_id(2)) == {}


@pytest.mark.slow
async def test_what_is_written_counts_at_once_and_what_is_erased_no_more(history: Any) -> None:
    for number in range(6):
        await history.append(an_interaction(number, user_id=f"user-{number % 2}"))
        assert sum([one.interactions for one in (await sums(history)).values()]) == number + 1
    await history.erase("user-1", an_id(3))
    assert [one.interactions for one in (await sums(history)).values()] == [5]
    await history.erase_all("user-0", an_id(20))
    assert [one.interactions for one in (await sums(history)).values()] == [2]


async def test_an_outcome_counts_in_place_of_what_was_in_progress(history: Any) -> None:
    usage = Usage(input_tokens=7)
    for status, failures in (
        (Status.IN_PROGRESS, 0),
        (Status.INTERRUPTED, 1),
        (Status.COMPLETED, 0),
    ):
        await history.append(an_interaction(1, status=status, usage=usage, credential="token"))
        (figures,) = (await sums(history)).values()
        assert figures == UsageFigures(interactions=1, failures=failures, input_tokens=7)


async def test_free_is_not_unknown(history: Any) -> None:
    await history.append(an_interaction(1, model="free", usage=Usage(cost_usd=0.0)))
    await history.append(an_interaction(2, model="unknown"))
    found = {model: figures.cost_usd for (_, model, _), figures in (await sums(history)).items()}
    assert found == {"free": 0.0, "unknown": None}


@pytest.mark.slow
async def test_more_than_a_store_hands_out_at_once(history: Any) -> None:
    for start in range(0, 1500, 250):
        await history.append_many(
            [
                an_interaction(n, user_id=f"u{n}", text=f"{n}x" * 400)
                for n in range(start, start + 250)
            ]
        )
    assert [one.interactions for one in (await sums(history)).values()] == [1500]


async def test_expired_interactions_do_not_count(history: Any) -> None:
    for number in range(4):
        await history.append(an_interaction(number))
    clock = FakeClock()
    clock.advance(86_400.002)
    kept = RetainedUsage(history, Retention(1), clock)
    assert [one.interactions for one in (await sums(kept)).values()] == [2]


async def test_items_of_an_earlier_version_are_read_as_a_whole(tmp_path: Path) -> None:
    usage = Usage(input_tokens=1, output_tokens=2, reasoning_tokens=3, cached_input_tokens=5)
    async with dynamodb(tmp_path) as history:
        await history.append(an_interaction(1, usage=usage))
        await history.append(an_interaction(2, usage=usage, credential="token"))
        await history.table.call(  # type: ignore[attr-defined]
            "update_item",
            Key=key_of("ana", an_id(1)),
            UpdateExpression="REMOVE milliseconds, inputTokens, outputTokens, reasoningTokens,"
            f" cachedInputTokens, {HAS_USAGE}",
        )
        found = await sums(history)
    one = UsageFigures(
        interactions=1, input_tokens=1, output_tokens=2, reasoning_tokens=3, cached_input_tokens=5
    )
    assert {credential: figures for (_, _, credential), figures in found.items()} == {
        None: one,
        "token": one,
    }


@pytest.mark.parametrize("away", [mongo_away, dynamodb_away])
async def test_a_store_that_is_away_is_reported(
    away: Callable[[], AbstractAsyncContextManager[Any]],
) -> None:
    async with away() as store:
        with pytest.raises(HistoryUnreadable):
            await sums(store)


async def test_what_a_host_cannot_deliver_is_not_left_out(tmp_path: Path) -> None:
    async with (
        sqlite(tmp_path / "store") as behind,
        open_outbox(
            tmp_path / "host",
            store=(store := UnreliableStore(behind)),
            clock=SystemClock(),
            read_seconds=0.5,
            min_free_disk_bytes=0,
        ) as outbox,
    ):
        await outbox.append(an_interaction(1))
        assert [one.interactions for one in (await sums(outbox)).values()] == [1]
        store.may_write.clear()
        await outbox.append(an_interaction(2, user_id="bob"))
        with pytest.raises(HistoryUnreadable):
            await sums(outbox)
        store.may_write.set()
        store.hangs = True
        with pytest.raises(HistoryUnreadable):
            await sums(outbox)
        store.hangs = False
        assert [one.interactions for one in (await sums(outbox)).values()] == [2]
