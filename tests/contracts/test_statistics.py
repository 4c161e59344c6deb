"""What every store adds up."""

import statistics
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from domain.entities.interaction import Interaction, Status, first_id_at, milliseconds_of
from domain.entities.reply import NO_USAGE, Usage
from domain.entities.statistics import DAY_MILLISECONDS, Day, Group, GroupBy, StatisticsQuery
from domain.interfaces.history import HistoryRepository
from tests.contracts.history_stores import STORES
from tests.fakes.clock import START_MILLISECONDS
from tests.fakes.interactions import an_id, an_interaction

MIDNIGHT = START_MILLISECONDS // DAY_MILLISECONDS * DAY_MILLISECONDS + DAY_MILLISECONDS


@pytest.fixture(params=STORES)
async def history(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[HistoryRepository]:
    async with STORES[request.param](tmp_path) as history:
        yield history


def day_of(interaction_id: str, time_zone: tzinfo = UTC) -> str:
    return Day.around(milliseconds_of(interaction_id), time_zone).key


async def groups(
    history: HistoryRepository, by: GroupBy = GroupBy.MODEL, **query: str | tzinfo | None
) -> dict[str | None, Group]:
    found = await history.statistics(StatisticsQuery(**{"user_id": "ana", "by": by, **query}))  # type: ignore[arg-type]
    by_key = {group.key: group for group in found}
    assert len(by_key) == len(found)
    return by_key


def varied(number: int) -> Interaction:
    """Return one of a history over four days, of two models, three providers and every status."""
    return an_interaction(
        number,
        id=an_id(number, milliseconds=MIDNIGHT + number * 2_500_000),
        model=("large", "small")[number % 2],
        provider=(None, "gemini", "openrouter")[number % 3],
        status=list(Status)[number % len(Status)],
        text="" if number % 4 == 0 else "text",
        usage=NO_USAGE
        if number % 5 == 0
        else Usage(
            input_tokens=number,
            cached_input_tokens=number // 2 if number % 2 else None,
            cache_write_tokens=number // 4 if number % 11 else None,
            output_tokens=2 * number if number % 7 else None,
            cost_usd=number / 1000 if number % 3 else None,
        ),
        latency_seconds=(number * 37 % 101) / 8,
    )


def expected(kept: list[Interaction], key: str | None) -> Group:
    """Add up by the words of the port rather than a store's."""
    times = sorted(one.latency_seconds for one in kept if one.is_answered)
    costs = [one.usage.cost_usd for one in kept if one.usage.cost_usd is not None]
    percentiles = (
        statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
    )
    return Group(
        key=key,
        interactions=len(kept),
        failures=sum(one.status in (Status.FAILED, Status.INTERRUPTED) for one in kept),
        input_tokens=sum(one.usage.input_tokens or 0 for one in kept),
        cached_input_tokens=sum(one.usage.cached_input_tokens or 0 for one in kept),
        cache_write_tokens=sum(one.usage.cache_write_tokens or 0 for one in kept),
        output_tokens=sum(one.usage.output_tokens or 0 for one in kept),
        cost_usd=pytest.approx(sum(costs)) if costs else None,
        p50_seconds=pytest.approx(percentiles[49]) if times else None,
        p95_seconds=pytest.approx(percentiles[94]) if times else None,
    )


@pytest.mark.slow
@pytest.mark.parametrize("by", GroupBy)
async def test_groups_add_up(history: HistoryRepository, by: GroupBy) -> None:
    kept = [varied(number) for number in range(150)]
    await history.append_many(kept)
    await history.append_many(kept[:20])
    await history.append(an_interaction(999, user_id="bob"))

    def key(one: Interaction) -> str | None:
        return {
            GroupBy.DAY: day_of(one.id),
            GroupBy.MODEL: one.model,
            GroupBy.PROVIDER: one.provider,
        }[by]

    keys = {key(one) for one in kept}
    assert len(keys) == {GroupBy.DAY: 5, GroupBy.MODEL: 2, GroupBy.PROVIDER: 3}[by]
    assert await groups(history, by) == {
        one: expected([i for i in kept if key(i) == one], one) for one in keys
    }


async def test_days_are_those_of_utc(history: HistoryRepository) -> None:
    moments = (MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + DAY_MILLISECONDS - 1, 9 * MIDNIGHT)
    for moment in moments:
        await history.append(an_interaction(id=an_id(milliseconds=moment)))
    assert {key: one.interactions for key, one in (await groups(history, GroupBy.DAY)).items()} == {
        day_of(first_id_at(MIDNIGHT - 1)): 1,
        day_of(first_id_at(MIDNIGHT)): 2,
        day_of(first_id_at(9 * MIDNIGHT)): 1,
    }


CLOCK_CHANGES = [
    ("Europe/Berlin", "2026-03-29", 23),
    ("Europe/Berlin", "2026-10-25", 25),
    ("America/New_York", "2026-03-08", 23),
    ("America/New_York", "2026-11-01", 25),
    ("America/Sao_Paulo", "2018-11-04", 23),  # midnight itself is skipped
    ("America/Sao_Paulo", "2018-02-17", 25),  # 23:00 to 24:00 comes twice
    ("Australia/Lord_Howe", "2026-04-05", 24.5),
    ("Asia/Kathmandu", "2026-07-01", 24),
    ("Pacific/Kiritimati", "2026-07-01", 24),
    ("Pacific/Apia", "2011-12-31", 24),  # the day before was skipped
    ("America/St_Johns", "2010-11-07", 25),  # from 00:01 back to 23:01
]


@pytest.mark.slow
@pytest.mark.seen("E9")
@pytest.mark.parametrize(("zone", "day", "hours"), CLOCK_CHANGES)
async def test_days_begin_at_local_midnight_also_where_clocks_are_changed(
    history: HistoryRepository, zone: str, day: str, hours: float
) -> None:
    time_zone = ZoneInfo(zone)
    first = round(datetime.fromisoformat(day).replace(tzinfo=time_zone).timestamp() * 1000)
    end = first + round(hours * 3_600_000)
    moments = [first - 1, first, (first + end) // 2, end - 1, end, end + 200 * DAY_MILLISECONDS]
    await history.append_many([an_interaction(id=an_id(milliseconds=one)) for one in moments])
    found = await groups(history, GroupBy.DAY, time_zone=time_zone)
    assert found.pop(day).interactions == 3
    assert sorted(group.interactions for group in found.values()) == [1, 1, 1]
    assert max(key for key in found if key is not None and key < day) == min(found)


@pytest.mark.slow
@pytest.mark.seen("E9")
@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Asia/Gaza", "Europe/London"])
async def test_local_days_add_up_over_years(history: HistoryRepository, zone: str) -> None:
    time_zone = ZoneInfo(zone)
    step = 7 * 3_600_000 + 1_234_567
    kept = [
        an_interaction(
            number, id=an_id(number, milliseconds=1_500_000_000_000 + number * step * 20)
        )
        for number in range(400)
    ]
    await history.append_many(kept)
    from_id, to_id = kept[10].id, kept[390].id
    found = await groups(history, GroupBy.DAY, time_zone=time_zone, from_id=from_id, to_id=to_id)
    by_hand = Counter(one.asked_at.astimezone(time_zone).date().isoformat() for one in kept[10:390])
    assert {key: group.interactions for key, group in found.items()} == by_hand


async def test_a_range_of_time_is_half_open(history: HistoryRepository) -> None:
    for number in range(5):
        await history.append(an_interaction(number))
    for by in GroupBy:
        found = await groups(
            history,
            by,
            from_id=first_id_at(START_MILLISECONDS + 1),
            to_id=first_id_at(START_MILLISECONDS + 3),
        )
        assert [group.interactions for group in found.values()] == [2]
        nothing = {"from_id": an_id(3), "to_id": an_id(3)}
        assert await groups(history, by, **nothing) == {}
        backwards = {"from_id": an_id(4), "to_id": an_id(2)}
        assert await groups(history, by, **backwards) == {}


async def test_what_is_not_known_is_no_guess(history: HistoryRepository) -> None:
    await history.append(an_interaction(1, status=Status.FAILED, text="", provider=None))
    assert await groups(history, GroupBy.PROVIDER) == {
        None: Group(
            key=None,
            interactions=1,
            failures=1,
            input_tokens=0,
            cached_input_tokens=0,
            cache_write_tokens=0,
            output_tokens=0,
            cost_usd=None,
            p50_seconds=None,
            p95_seconds=None,
        )
    }


async def test_free_is_not_unknown(history: HistoryRepository) -> None:
    await history.append(an_interaction(1, usage=Usage(cost_usd=0.0)))
    await history.append(an_interaction(2))
    assert (await groups(history))["demo"].cost_usd == 0.0


async def test_times_count_to_the_millisecond(history: HistoryRepository) -> None:
    await history.append(an_interaction(1, latency_seconds=0.0004))
    await history.append(an_interaction(2, latency_seconds=0.0015))
    await history.append(an_interaction(3, latency_seconds=1.001))
    found = (await groups(history))["demo"]
    assert (found.p50_seconds, found.p95_seconds) == (0.002, pytest.approx(0.9011))


async def test_an_unknown_user_has_no_groups(history: HistoryRepository) -> None:
    await history.append(an_interaction(user_id="ana"))
    for by in GroupBy:
        assert await groups(history, by, user_id="an") == {}


async def test_what_is_written_counts_at_once_and_what_is_erased_no_more(
    history: HistoryRepository,
) -> None:
    for number in range(10):
        await history.append(an_interaction(number))
        assert (await groups(history))["demo"].interactions == number + 1
    await history.erase("ana", an_id(3))
    assert (await groups(history))["demo"].interactions == 9
    await history.erase_all("ana", an_id(20))
    assert await groups(history) == {}


async def test_an_outcome_counts_in_place_of_an_interruption(history: HistoryRepository) -> None:
    await history.append(an_interaction(1, status=Status.INTERRUPTED, text="", model="asked"))
    assert (await groups(history))["asked"].failures == 1
    await history.append(an_interaction(1, latency_seconds=2.0))
    found = await groups(history)
    assert [*found] == ["demo"]
    assert (found["demo"].failures, found["demo"].p50_seconds) == (0, 2.0)


@pytest.mark.slow
async def test_more_than_a_store_hands_out_at_once(history: HistoryRepository) -> None:
    for start in range(0, 1500, 250):
        await history.append_many(
            [an_interaction(n, text=f"{n}x" * 400) for n in range(start, start + 250)]
        )
    assert (await groups(history))["demo"].interactions == 1500
