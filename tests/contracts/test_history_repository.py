"""What every history promises, whatever keeps it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import islice, product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from domain.entities.history_query import HistoryQuery, Order
from domain.entities.interaction import Interaction, Status, first_id_at
from domain.entities.items import ProviderMetadata, Reasoning, ToolCall, ToolResult
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.tools import Tool
from domain.entities.words import words_of
from domain.interfaces.history import HistoryRepository
from tests.contracts.history_stores import FORGETS_WHAT_BEGAN, STORES
from tests.contracts.history_walks import EVERY_STATUS, FILTERS, asking, mixed, passes, walk
from tests.fakes.clock import START_MILLISECONDS
from tests.fakes.interactions import a_tool_turn, an_id, an_interaction, any_interactions, begin

PATIENCE_SECONDS = 120.0


@pytest.fixture(params=STORES)
async def history(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[HistoryRepository]:
    if "remembering" in request.fixturenames and request.param in FORGETS_WHAT_BEGAN:
        pytest.skip("keeps no start markers, as its docstring says")
    async with STORES[request.param](tmp_path) as history:
        yield history


async def numbers(history: HistoryRepository, query: HistoryQuery) -> list[int]:
    """Return the numbers of the interactions of one page, in its order."""
    page = await history.search(query)
    return [int(found.id[-12:], 16) for found in page.interactions]


async def until(condition: Callable[[], object]) -> None:
    """Return once awaiting `condition` gives something true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # type: ignore[misc]
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def generated() -> dict[str, Interaction]:
    """Interactions of every shape, by id.

    Made before a store is open: Hypothesis refuses to run beside tasks that use the `random` module.
    """

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(any_interactions)
    def collect(interaction: Interaction) -> None:
        found.setdefault(interaction.id, interaction)

    found: dict[str, Interaction] = {}
    collect()
    return found


async def test_what_goes_in_comes_out(
    generated: dict[str, Interaction], history: HistoryRepository
) -> None:
    kept = generated
    await history.append_many(list(kept.values()))

    assert await walk(history, asking(statuses=EVERY_STATUS, order=Order.ASC)) == [
        kept[key] for key in sorted(kept)
    ]
    for interaction in islice(kept.values(), 10):
        assert await history.find("ana", interaction.id) == interaction


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "zwölf 🦩🏳️‍🌈 \U0010ffff",
        "\u05e9\u05dc\u05d5\u05dd \u0639\u0644\u064a\u0643\u0645 \u200f\u202eabc",
        "a\0b",
        "\r\n\t\x1b[31m\x7f\u2028\ufeff\ufffd",
        "'; DROP TABLE interaction; -- $where {\"$gt\": \"\"} %s ?1 :id",
        '"},{"v":1,"id":"x"',
        "\\u0000 \\ud800 \\",
        "x" * 1024 * 1024,
        "€" * (1024 * 1024 // 3),
    ],
    ids=["emoji", "rtl", "nul", "controls", "injection", "json", "escapes", "1 MiB", "1 MiB utf-8"],
)  # fmt: skip
async def test_odd_texts_come_out_as_they_went_in(history: HistoryRepository, text: str) -> None:
    odd = an_interaction(
        text=text, prompt=Prompt.from_text(text, system=text[:1000]), error=text[:50]
    )
    await history.append(odd)

    assert await history.find("ana", odd.id) == odd


_MEBIBYTE = '{"a": "€\\u0000"}' + " " * (1024 * 1024)
_ODD = "\0\u2028 \U0010ffff \\ud800 $where.a.b"


@pytest.mark.slow
@pytest.mark.parametrize(
    "turn",
    [
        a_tool_turn(1),
        a_tool_turn(1, text="", items=(ToolCall(id=_ODD, name=_ODD, arguments=_ODD),)),
        a_tool_turn(
            1,
            text="",
            items=(
                Reasoning(text=_MEBIBYTE),
                ToolCall(
                    id="a",
                    name="b",
                    arguments=_MEBIBYTE,
                    metadata=ProviderMetadata(kind=_ODD, family=_ODD, value=_MEBIBYTE),
                ),
            ),
        ),
        a_tool_turn(
            1,
            prompt=Prompt(
                messages=(
                    Message(
                        role=Role.USER,
                        text="",
                        items=(ToolResult(call_id="a", output=_MEBIBYTE, is_json=True),) * 3,
                    ),
                )
            ),
        ),
        a_tool_turn(1, metadata={"m" * 64 + str(n): _ODD + "v" * 512 for n in range(16)}),
        a_tool_turn(1, metadata={_ODD: _ODD, "": "", "$set": "", "a.b": "c"}),
        a_tool_turn(
            1,
            prompt=Prompt(
                messages=(Message(role=Role.USER, text="q"),),
                tools=tuple(
                    Tool(name=f"t{n}", description="d" * 1000, parameters="{}") for n in range(128)
                ),
            ),
        ),
    ],
    ids=["plain", "odd", "long answer", "long results", "metadata", "odd metadata", "tools"],
)  # fmt: skip
async def test_turns_of_tools_come_out_as_they_went_in(
    history: HistoryRepository, turn: Interaction
) -> None:
    await history.append(turn)
    assert await history.find("ana", turn.id) == turn
    assert await walk(history, asking()) == [turn]


async def test_a_search_finds_texts_and_no_other_items(history: HistoryRepository) -> None:
    await history.append_many([a_tool_turn(1), an_interaction(2)])
    for word in ("words", "more", "now", "1"):
        assert await numbers(history, asking(words=words_of(word))) == [1], word
    for word in ("city", "weather", "such", "type", "trace", "gemini", "call_2", "length", "c"):
        assert await numbers(history, asking(words=words_of(word))) == [], word


async def test_a_conversation_of_turns_of_tools_is_read_whole(history: HistoryRepository) -> None:
    results = (ToolResult(call_id="call_2", output="[]", is_json=True),)
    turns = [
        an_interaction(0, conversation_id="tools"),
        a_tool_turn(1, text="", items=a_tool_turn().items[3:]),
        a_tool_turn(2, prompt=Prompt(messages=(Message(role=Role.USER, text="", items=results),))),
    ]
    await history.append_many(turns)
    query = asking(conversation_id="tools", order=Order.ASC)
    assert list((await history.recall(query)).interactions) == turns
    assert await walk(history, query) == turns


async def test_a_user_id_of_every_allowed_character_is_one_user(history: HistoryRepository) -> None:
    allowed = "Zaz09._:@|+-"
    users = [(allowed * 11)[:128], "a.b", "a:b", "a_b", "A.b", "a|b", "a", "a+", "a%"]
    for number, user_id in enumerate(users):
        await history.append(an_interaction(number, user_id=user_id))

    for number, user_id in enumerate(users):
        assert await numbers(history, asking(user_id=user_id)) == [number]


async def test_saving_twice_keeps_one(history: HistoryRepository) -> None:
    await history.append(an_interaction())
    await history.append(an_interaction())
    await history.append_many([an_interaction(), an_interaction(), an_interaction(1)])

    assert await numbers(history, asking()) == [1, 0]


async def test_the_first_that_was_kept_stays(history: HistoryRepository) -> None:
    await history.append(an_interaction(text="first"))
    await history.append(an_interaction(text="second"))

    assert (await history.find("ana", an_id())) == an_interaction(text="first")


async def test_many_at_once_are_all_kept(history: HistoryRepository) -> None:
    await asyncio.gather(*(history.append(an_interaction(number)) for number in range(100)))

    assert await numbers(history, asking(order=Order.ASC)) == list(range(100))


async def test_waiting_ends_when_the_interaction_can_be_read_or_with_the_time(
    history: HistoryRepository,
) -> None:
    assert not await history.wait_for("ana", an_id(), seconds=0.0)
    assert not await history.wait_for("ana", an_id(), seconds=0.1)
    began_seconds = time.monotonic()
    waiting = [
        asyncio.create_task(history.wait_for(user_id, an_id(), seconds=seconds))
        for user_id, seconds in (("ana", PATIENCE_SECONDS), ("ana", PATIENCE_SECONDS), ("bob", 0.5))
    ]
    await asyncio.sleep(0.1)
    await history.append(an_interaction())

    assert await asyncio.gather(*waiting) == [True, True, False]
    assert time.monotonic() - began_seconds < PATIENCE_SECONDS
    assert await history.wait_for("ana", an_id(), seconds=0.0)


async def test_nothing_to_keep_is_no_error(history: HistoryRepository) -> None:
    await history.append_many([])


async def test_newest_comes_first(history: HistoryRepository) -> None:
    for number in (1, 3, 2):
        await history.append(an_interaction(number))

    assert await numbers(history, asking(limit=2)) == [3, 2]


async def test_oldest_comes_first_when_asked(history: HistoryRepository) -> None:
    for number in (1, 3, 2):
        await history.append(an_interaction(number))

    assert await numbers(history, asking(order=Order.ASC, limit=2)) == [1, 2]


async def test_a_full_page_that_is_the_last_says_so(history: HistoryRepository) -> None:
    for number in range(3):
        await history.append(an_interaction(number))

    assert (await history.search(asking(limit=3))).next_id is None
    assert (await history.search(asking(limit=2))).next_id == an_id(1)


async def test_nobody_reads_someone_elses(history: HistoryRepository) -> None:
    await history.append(an_interaction(user_id="ana"))

    assert await numbers(history, asking(user_id="bob")) == []
    assert await numbers(history, asking(user_id="an")) == []
    assert await history.find("bob", an_id()) is None


async def test_an_unknown_user_has_an_empty_history(history: HistoryRepository) -> None:
    page = await history.search(asking(user_id="nobody"))

    assert list(page.interactions) == []
    assert page.next_id is None


async def test_only_answered_ones_are_listed_unless_asked(history: HistoryRepository) -> None:
    statuses = list(Status)
    for number, status in enumerate(statuses):
        await history.append(an_interaction(number, status=status))
    silent = len(statuses)
    await history.append(an_interaction(silent, status=Status.BLOCKED, text=""))

    answered = [
        an_interaction(number, status=status).is_answered for number, status in enumerate(statuses)
    ]
    assert await numbers(history, asking(order=Order.ASC)) == [
        n for n, is_answered in enumerate(answered) if is_answered
    ]
    assert await numbers(history, asking(order=Order.ASC, statuses=EVERY_STATUS)) == list(
        range(silent + 1)
    )
    for number, status in enumerate(statuses):
        expected = [number, silent] if status is Status.BLOCKED else [number]
        assert (
            await numbers(history, asking(order=Order.ASC, statuses=frozenset({status})))
            == expected
        )
    assert await history.find("ana", an_id(silent)) is not None, "by id whatever its status"


@pytest.mark.slow
async def test_a_walk_sees_each_once_and_in_order_while_others_write(
    history: HistoryRepository,
) -> None:
    """One store for all filters: filling it costs more than walking it."""
    before = [mixed(number) for number in range(250)]
    await history.append_many(before[:100])
    await history.append_many(before[100:])
    elsewhere = [mixed(number + 1) for number in range(60)]
    await history.append_many([replace(one, user_id="bob") for one in elsewhere])

    async def keep_writing() -> None:
        for number in range(1000, 1_000_000):
            await history.append(mixed(number))

    writing = asyncio.create_task(keep_writing())
    try:
        for filters, order in product(FILTERS, Order):
            bounded = {"to_id": an_id(999), **filters}
            found = await walk(history, asking(order=order, limit=23, **bounded))
            expected = [one for one in before if passes(one, **filters)]
            assert found == (expected if order is Order.ASC else expected[::-1]), (filters, order)
            assert not writing.done()
    finally:
        writing.cancel()


async def test_a_range_of_time_is_half_open(history: HistoryRepository) -> None:
    for number in range(5):
        await history.append(an_interaction(number))

    found = await numbers(
        history,
        asking(
            from_id=first_id_at(START_MILLISECONDS + 1), to_id=first_id_at(START_MILLISECONDS + 3)
        ),
    )
    assert found == [2, 1]


async def test_one_erased_is_gone_and_stays_gone(history: HistoryRepository) -> None:
    await history.append_many([an_interaction(1), an_interaction(2)])
    await history.erase("ana", an_id(1))
    await history.append(an_interaction(1))
    await history.append_many([an_interaction(1), an_interaction(3)])

    assert await numbers(history, asking()) == [3, 2]
    assert await history.find("ana", an_id(1)) is None


async def test_one_erased_before_it_came_never_comes(history: HistoryRepository) -> None:
    await history.erase("ana", an_id(1))
    await history.erase("ana", an_id(1))
    await history.append(an_interaction(1))

    assert await history.find("ana", an_id(1)) is None


async def test_nobody_erases_someone_elses(history: HistoryRepository) -> None:
    await history.append(an_interaction(1))
    await history.erase("bob", an_id(1))
    assert await history.erase_all("bob", an_id(9)) == 0

    assert await numbers(history, asking()) == [1]
    await history.append(an_interaction(2))
    assert await numbers(history, asking()) == [2, 1]


async def test_all_erased_are_gone_and_so_is_what_comes_late(history: HistoryRepository) -> None:
    await history.append_many([an_interaction(number) for number in range(10)])
    await history.append(an_interaction(1, user_id="bob", id=an_id(70)))

    assert await history.erase_all("ana", an_id(20)) == 10
    assert await history.erase_all("ana", an_id(20)) == 0
    await history.append(an_interaction(3))
    await history.append(an_interaction(20))
    await history.append(an_interaction(21))

    assert await numbers(history, asking()) == [21]
    assert await numbers(history, asking(user_id="bob")) == [70]


async def test_erasing_all_takes_the_whole_millisecond(history: HistoryRepository) -> None:
    last_of_it = f"{an_id(5)[:14]}7fff-bfff-ffffffffffff"
    await history.append_many([an_interaction(5), an_interaction(id=last_of_it), an_interaction(6)])

    assert await history.erase_all("ana", an_id(5)) == 2
    assert await numbers(history, asking()) == [6]


async def test_an_earlier_erasure_does_not_undo_a_later_one(history: HistoryRepository) -> None:
    await history.erase_all("ana", an_id(20))
    await history.erase_all("ana", an_id(10))
    await history.append(an_interaction(15))

    assert await numbers(history, asking()) == []


async def test_erasing_more_than_fits_in_one_go(history: HistoryRepository) -> None:
    for start in range(0, 1200, 200):
        await history.append_many([an_interaction(start + number) for number in range(200)])

    assert await history.erase_all("ana", an_id(1099)) == 1100
    assert len(await numbers(history, asking())) == 100


async def test_erasing_wins_over_writes_under_way(history: HistoryRepository) -> None:
    async def write(number: int) -> None:
        await history.append(an_interaction(number))

    await asyncio.gather(
        *(write(number) for number in range(50)),
        history.erase_all("ana", an_id(49)),
        *(write(number) for number in range(50)),
    )

    assert await numbers(history, asking(statuses=EVERY_STATUS)) == []


async def test_it_admits_when_all_is_well(history: HistoryRepository) -> None:
    history.admit()


@pytest.fixture
def remembering(history: HistoryRepository) -> HistoryRepository:
    """A history that notes what began."""
    return history


def under_way(number: int) -> Interaction:
    """Return what is noted when request number so-and-so begins."""
    return an_interaction(number, text="", status=Status.INTERRUPTED, finish_reason=None)


async def test_what_began_and_never_ended_was_interrupted(remembering: HistoryRepository) -> None:
    begin(remembering, under_way(1), lost_after_seconds=-1e9)

    await until(lambda: remembering.find("ana", an_id(1)))
    assert await remembering.find("ana", an_id(1)) == under_way(1)
    assert await numbers(remembering, asking()) == [], "it has no answer"


async def test_what_is_under_way_is_not_interrupted_yet(remembering: HistoryRepository) -> None:
    begin(remembering, under_way(1), lost_after_seconds=1e9)
    begin(remembering, under_way(2), lost_after_seconds=-1e9)

    await until(lambda: remembering.find("ana", an_id(2)))
    assert await remembering.find("ana", an_id(1)) is None


async def test_an_outcome_ends_what_began(remembering: HistoryRepository) -> None:
    begin(remembering, under_way(1), lost_after_seconds=-1e9)
    await remembering.append(an_interaction(1))
    begin(remembering, under_way(2), lost_after_seconds=-1e9)

    await until(lambda: remembering.find("ana", an_id(2)))
    assert await remembering.find("ana", an_id(1)) == an_interaction(1)


async def test_a_late_outcome_replaces_an_interruption(remembering: HistoryRepository) -> None:
    begin(remembering, under_way(1), lost_after_seconds=-1e9)
    await until(lambda: remembering.find("ana", an_id(1)))
    late = an_interaction(1, model="other", conversation_id="c")
    await remembering.append(late)

    await until(lambda: numbers(remembering, asking(model="other", conversation_id="c")))
    assert await remembering.find("ana", an_id(1)) == late
    assert await numbers(remembering, asking(statuses=frozenset({Status.INTERRUPTED}))) == []


async def test_an_interruption_never_replaces_an_outcome(history: HistoryRepository) -> None:
    await history.append(an_interaction(1))
    await history.append(under_way(1))

    assert await history.find("ana", an_id(1)) == an_interaction(1)


async def test_what_was_erased_is_not_interrupted(remembering: HistoryRepository) -> None:
    begin(remembering, under_way(1), lost_after_seconds=-1e9)
    await remembering.erase("ana", an_id(1))
    begin(remembering, under_way(2), lost_after_seconds=-1e9)
    await remembering.erase_all("ana", an_id(2))
    begin(remembering, under_way(3), lost_after_seconds=-1e9)

    await until(lambda: remembering.find("ana", an_id(3)))
    assert await remembering.find("ana", an_id(1)) is None
    assert await remembering.find("ana", an_id(2)) is None
