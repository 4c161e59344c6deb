"""Two processes that think they make the same answer: one of them was suspended past its lease.

Realtime: leases run out in real time, in several processes.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.background_answers import (
    Answers,
    Reader,
    names_of,
    store_settings,
    text_of,
    until,
)
from tests.support.paced_provider import CONTINUED, RESTARTED, paced_provider
from tests.support.service import running_service

pytestmark = pytest.mark.realtime

CLOSED_SECONDS = 1.0
Figure = Callable[[str], None]


@pytest.mark.parametrize(
    ("store", "rounds"),
    [
        ("mongodb direct", 1),
        *(
            pytest.param(store, 5, marks=pytest.mark.faults)
            for store in ("mongodb", "mongodb direct", "dynamodb direct")
        ),
    ],
)
def test_a_process_that_was_suspended_writes_nothing_when_it_wakes(
    tmp_path: Path, store: str, rounds: int, figure: Figure
) -> None:
    """On one host both processes have the same folder; else each has its own."""
    folders = ("one", "other" if store.endswith("direct") else "one")
    slowest = 0.0
    with (
        paced_provider(words=60, gap_seconds=0.15) as provider,
        store_settings(store, tmp_path, provider.settings(tmp_path)) as settings,
        running_service(tmp_path / folders[0], settings) as one,
        running_service(tmp_path / folders[1], settings) as other,
    ):
        answers = Answers()
        for round_ in range(rounds):
            answers.current = one
            models = (CONTINUED, RESTARTED)
            ids = [answers.begin(f"{round_} {model}", model=model) for model in models]
            at_one = [answers.reader(each) for each in ids]
            at_other = [Reader(each, lambda: other.url) for each in ids]
            until(lambda at_one=at_one: all(len(each.events) > 5 for each in at_one))
            os.kill(one.process.pid, signal.SIGSTOP)
            try:
                for each in ids:
                    until(lambda each=each: len(provider.calls_of(answers.begun[each])) == 2)
            finally:
                os.kill(one.process.pid, signal.SIGCONT)
            woken = time.monotonic()
            old_calls = [provider.calls_of(answers.begun[each])[0] for each in ids]
            until(lambda old_calls=old_calls: all(call.ended_seconds for call in old_calls))
            slowest = max(slowest, *((call.ended_seconds or 0.0) - woken for call in old_calls))
            assert not any(call.is_whole for call in old_calls)
            answers.current = other
            for number, each in enumerate(ids):
                whole = at_one[number].whole()
                assert at_other[number].whole() == answers.reader(each).whole() == whole
                assert text_of(at_one[number].events) == provider.text
                kept = answers.kept(each)
                assert (kept["status"], kept["response"]) == ("completed", provider.text)
                assert len(provider.calls_of(answers.begun[each])) == 2
            assert names_of(at_one[0].events) == ["meta", "delta", "done"]
            assert names_of(at_one[1].events) == [
                "meta",
                "delta",
                "restart",
                "meta",
                "delta",
                "done",
            ]
    figure(f"background, {store}: old call closed at most {slowest:.2f} s after SIGCONT")
    assert slowest <= CLOSED_SECONDS
