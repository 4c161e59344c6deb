"""A stop reaches the process that makes the answer, and changes nothing else."""

import asyncio
from dataclasses import replace

import pytest

from domain.entities.interaction import Status
from domain.exceptions import HistoryUnreadable, NotFound
from domain.use_cases.background.read_answer import ReadAnswer
from domain.use_cases.background.stop_answer import StopAnswer
from domain.use_cases.load_contents import LoadContents
from domain.use_cases.read_interaction import ReadInteraction
from tests.fakes.background_answers import END, SELECTED, Installation, MakingProcess, until
from tests.fakes.interactions import an_id, an_interaction


def stop_in(process: MakingProcess, installation: Installation) -> StopAnswer:
    return StopAnswer(
        process.log,
        process.answers,
        ReadAnswer(
            process.log,
            ReadInteraction(history=installation.history, load_contents=LoadContents(None)),
        ),
    )


async def test_an_answer_of_this_process_ends_at_once() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event())
    await process.begin()
    await until(lambda: installation.log_of().records)
    for _ in range(2):
        await stop_in(process, installation)("ana", an_id())
    await process.finished()
    assert installation.log_of().is_stopped
    assert installation.outcome().status is Status.CLIENT_CANCELLED


async def test_an_answer_of_another_process_is_marked() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event())
    await process.begin()
    await until(lambda: installation.log_of().records)
    await stop_in(installation.process(), installation)("ana", an_id())
    await process.answers.watch()
    await process.finished()
    assert installation.outcome().status is Status.CLIENT_CANCELLED


async def test_a_complete_answer_stays_as_it_is() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", END)
    await process.begin()
    await process.finished()
    outcome = installation.outcome()
    await stop_in(process, installation)("ana", an_id())
    assert installation.outcome() == outcome


async def test_an_interaction_that_was_no_background_answer_stays_as_it_is() -> None:
    installation = Installation()
    await installation.history.append(an_interaction())
    await stop_in(installation.process(), installation)("ana", an_id())
    assert installation.outcome() == an_interaction()


@pytest.mark.parametrize(("user_id", "number"), [("ana", 1), ("bob", 0)])
async def test_an_unknown_interaction_is_not_found(user_id: str, number: int) -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event())
    await process.begin()
    with pytest.raises(NotFound):
        await stop_in(process, installation)(user_id, an_id(number))
    assert not installation.log_of().is_stopped
    process.die()
    await process.finished()


async def test_an_answer_whose_log_is_on_another_host_is_not_said_to_be_stopped() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event())
    await process.begin()
    elsewhere = Installation(history=installation.history)
    with pytest.raises(HistoryUnreadable):
        await stop_in(elsewhere.process(), elsewhere)("ana", an_id())
    process.die()
    await process.finished()


async def test_a_complete_answer_whose_outcome_is_still_on_its_way_stays_as_it_is() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", END)
    await process.begin()
    await process.finished()
    installation.history.kept[an_id()] = replace(installation.outcome(), status=Status.IN_PROGRESS)
    await stop_in(process, installation)("ana", an_id())


async def test_a_complete_answer_that_is_not_in_history_yet_stays_as_it_is() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", END)
    await process.begin()
    await process.finished()
    del installation.history.kept[an_id()]
    await stop_in(process, installation)("ana", an_id())
    assert not installation.log_of().is_stopped


async def test_a_log_that_is_away_is_no_success() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event())
    await process.begin()
    process.log.is_away = True
    with pytest.raises(HistoryUnreadable):
        await stop_in(process, installation)("ana", an_id())
    assert process.answers.running == 1
    process.die()
    await process.finished()
