"""SIGKILL in mid answer: the same answer is finished, and every reader has the same events.

Realtime: leases run out in real time, in several processes.
"""

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.background_answers import (
    OF_ALL_HOSTS,
    OF_ONE_HOST,
    Answers,
    Reader,
    names_of,
    store_settings,
    text_of,
    until,
)
from tests.support.paced_provider import CONTINUED, RESTARTED, PacedProvider, paced_provider
from tests.support.service import Service, running_service

pytestmark = pytest.mark.realtime

MODELS = (CONTINUED, RESTARTED)
TAKEOVER_SECONDS = 15.0
Figure = Callable[[str], None]


def short_and_long(
    stores: tuple[str, ...], short: dict[str, int]
) -> list[tuple[str, int] | pytest.ParameterSet]:
    """Return the number of kills of each store: a few in the normal run, twenty in the long one."""
    return [
        *short.items(),
        *(pytest.param(store, 20, marks=pytest.mark.faults) for store in stores),
    ]


def takeover_seconds(
    answers: Answers, provider: PacedProvider, interaction_id: str, since_seconds: float
) -> float:
    """Return the time from a moment until the second call of the provider for an answer."""
    _, second = provider.calls_of(answers.begun[interaction_id])
    return second.started_seconds - since_seconds


def check(
    answers: Answers, provider: PacedProvider, interaction_id: str, model: str, *readers: Reader
) -> None:
    """Check an answer that was killed once: its events are the same for all, and its text is whole."""
    whole = readers[0].whole()
    for reader in (*readers, answers.reader(interaction_id)):
        assert reader.whole() == whole
    kept = answers.kept(interaction_id)
    assert (kept["status"], kept["response"]) == ("completed", provider.text)
    events = readers[0].events
    assert text_of(events) == provider.text
    assert "lost" in [attempt["outcome"] for attempt in kept["attempts"]]
    names = names_of(events)
    if model == CONTINUED:
        assert names == ["meta", "delta", "done"]
    else:
        assert names in (
            ["meta", "delta", "restart", "meta", "delta", "done"],
            ["meta", "delta", "done"],  # killed before its first word
        )
    assert len(provider.calls_of(answers.begun[interaction_id])) == 2


@pytest.mark.parametrize(
    ("store", "kills"), short_and_long(OF_ONE_HOST, {"embedded": 2, "mongodb": 1})
)
def test_the_next_process_of_the_host_finishes_the_answer(
    tmp_path: Path, store: str, kills: int, figure: Figure
) -> None:
    chance = random.Random(store)
    slowest = 0.0
    answers = Answers()
    with (
        paced_provider() as provider,
        store_settings(store, tmp_path, provider.settings(tmp_path)) as settings,
    ):
        for kill in range(kills):
            with running_service(tmp_path / "data", settings) as service:
                answers.current = service
                ids = {model: answers.begin(f"{kill} {model}", model=model) for model in MODELS}
                before = {model: answers.reader(ids[model]) for model in MODELS}
                seen = chance.randrange(1, provider.words - 8)
                until(lambda before=before, seen=seen: len(before[CONTINUED].events) > seen)
                during = {model: answers.reader(ids[model]) for model in MODELS}
                until(lambda during=during: all(each.events for each in during.values()))
                answers.current = None
                service.kill()
            with running_service(tmp_path / "data", settings) as service:
                started = time.monotonic()
                answers.current = service
                for model in MODELS:
                    readers = before[model], during[model]
                    check(answers, provider, ids[model], model, *readers)
                    slowest = max(slowest, takeover_seconds(answers, provider, ids[model], started))
                assert answers.in_progress() == []
    figure(f"background, {store}: {kills} kills, slowest takeover {slowest:.1f} s after the start")
    assert slowest <= TAKEOVER_SECONDS


@pytest.mark.parametrize(
    ("store", "kills"), short_and_long(OF_ALL_HOSTS, {"mongodb direct": 1, "dynamodb direct": 1})
)
def test_another_host_finishes_the_answer(
    tmp_path: Path, store: str, kills: int, figure: Figure
) -> None:
    chance = random.Random(store)
    slowest = 0.0
    answers = Answers()
    with (
        paced_provider() as provider,
        store_settings(store, tmp_path, provider.settings(tmp_path)) as settings,
        ExitStack() as stack,
    ):

        def started(number: int) -> Service:
            return stack.enter_context(running_service(tmp_path / f"data-{number}", settings))

        other = started(0)
        for kill in range(kills):
            dying, other = other, started(kill + 1)
            answers.current = dying
            ids = {model: answers.begin(f"{kill} {model}", model=model) for model in MODELS}
            before = {model: answers.reader(ids[model]) for model in MODELS}
            elsewhere = {
                model: Reader(ids[model], lambda other=other: other.url) for model in MODELS
            }
            seen = chance.randrange(2, 8)
            until(lambda before=before, seen=seen: len(before[CONTINUED].events) >= seen)
            during = {model: answers.reader(ids[model]) for model in MODELS}
            until(lambda during=during: all(each.events for each in during.values()))
            answers.current = other
            dying.kill()
            killed = time.monotonic()
            for model in MODELS:
                readers = before[model], during[model], elsewhere[model]
                check(answers, provider, ids[model], model, *readers)
                slowest = max(slowest, takeover_seconds(answers, provider, ids[model], killed))
            assert answers.in_progress() == []
    figure(f"background, {store}: {kills} kills, slowest takeover {slowest:.1f} s after the kill")
    assert slowest <= TAKEOVER_SECONDS
