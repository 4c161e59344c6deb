"""Leaving, stopping, dying and erasing at any moment: each has its own end, and nothing is left in progress.

Realtime: leases run out in real time, and calls have to be closed within a second.
"""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.support.background_answers import Answers, names_of, store_settings, text_of, until
from tests.support.paced_provider import CONTINUED, RESTARTED, PacedProvider, paced_provider
from tests.support.service import Service, running_service

pytestmark = pytest.mark.realtime

CLOSED_SECONDS = 1.0
IN_PROGRESS_SECONDS = 60.0
Figure = Callable[[str], None]


def left(answers: Answers, question: str, chance: random.Random) -> str:
    """Begin a stream, leave it at some moment, and return the id of its answer."""
    assert answers.current is not None
    body = {"userId": "ana", "userPrompt": question, "background": True, "stream": True}
    with (
        answers.current.client() as client,
        client.stream("POST", "/v1/chat", json=body) as response,
    ):
        assert response.status_code == 200
        interaction_id = response.headers["X-Interaction-Id"]
        time.sleep(chance.uniform(0.0, 1.0))
    answers.begun[interaction_id] = question
    return interaction_id


def check_left(answers: Answers, provider: PacedProvider, interaction_id: str) -> None:
    kept = answers.kept(interaction_id)
    assert (kept["status"], kept["response"]) == ("completed", provider.text)
    assert len(provider.calls_of(answers.begun[interaction_id])) == 1


def stopped(
    answers: Answers, provider: PacedProvider, question: str, chance: random.Random, other: Service
) -> float:
    """Stop an answer at some moment, from another process, and check its end; return how long its call went on."""
    interaction_id = answers.begin(question, model=chance.choice((CONTINUED, RESTARTED)))
    reader = answers.reader(interaction_id)
    time.sleep(chance.uniform(0.0, 1.0))
    with other.client() as client:
        stopped_seconds = time.monotonic()
        response = client.post(f"/v1/history/ana/{interaction_id}/stop")
    assert response.status_code == 204, response.text
    reader.whole()
    kept = answers.kept(interaction_id)
    assert kept["status"] == "client_cancelled"
    assert kept["response"] == text_of(reader.events)
    assert provider.text.startswith(kept["response"])
    assert names_of(reader.events)[-1] == "done"
    calls = provider.calls_of(question)
    assert len(calls) <= 1
    if not calls:
        return 0.0
    until(lambda: calls[0].ended_seconds is not None)
    assert not calls[0].is_whole
    return (calls[0].ended_seconds or 0.0) - stopped_seconds


@pytest.mark.parametrize(
    ("store", "times"),
    [
        ("embedded", 6),
        ("mongodb", 6),
        *(
            pytest.param(store, 200, marks=pytest.mark.faults)
            for store in ("embedded", "mongodb", "mongodb direct", "dynamodb direct")
        ),
    ],
)
def test_an_answer_that_is_left_is_finished_and_one_that_is_stopped_ends_at_once(
    tmp_path: Path, store: str, times: int, figure: Figure
) -> None:
    """Half of the stops go to another process, where there may be one."""
    answers = Answers()
    with ExitStack() as stack:
        provider = stack.enter_context(paced_provider(words=40))
        settings = stack.enter_context(store_settings(store, tmp_path, provider.settings(tmp_path)))
        settings = {**settings, "CALLER_REQUESTS_PER_MINUTE": "1000000"}
        service = stack.enter_context(running_service(tmp_path / "one", settings))
        folder = "other" if store.endswith("direct") else "one"
        other = service
        if store != "embedded":  # whose file has one process
            other = stack.enter_context(running_service(tmp_path / folder, settings))
        pool = stack.enter_context(ThreadPoolExecutor(4))
        answers.current = service

        def one(number: int) -> float:
            chance = random.Random(number)
            check_left(answers, provider, left(answers, f"leave {number}", chance))
            target = other if number % 2 else service
            return stopped(answers, provider, f"stop {number}", chance, target)

        slowest = max(pool.map(one, range(times)))
        assert answers.in_progress() == []
        assert [call for call in provider.calls if call.ended_seconds is None] == []
    figure(
        f"background, {store}: {times} stops, call closed at most {slowest:.2f} s after the stop"
    )
    assert slowest <= CLOSED_SECONDS


@pytest.mark.parametrize("times", [3, pytest.param(200, marks=pytest.mark.faults)])
def test_a_process_that_dies_at_any_moment_leaves_nothing_in_progress(
    tmp_path: Path, times: int, figure: Figure
) -> None:
    """Also before the answer is confirmed: what the client was not told of ends too."""
    chance = random.Random(times)
    answers = Answers()
    slowest = 0.0
    with ExitStack() as stack:
        provider = stack.enter_context(paced_provider(words=20, gap_seconds=0.03))
        settings = provider.settings(tmp_path)
        service = stack.enter_context(running_service(tmp_path / "data", settings))
        answers.current = service
        begun: list[str] = []
        for number in range(times):
            kills_at_once = chance.random() < 0.3

            def begin(number: int = number) -> None:
                try:
                    begun.append(answers.begin(f"die {number}"))
                except (httpx2.TransportError, OSError):
                    return  # killed before it was accepted, or before the client was told so

            with ThreadPoolExecutor(1) as pool:
                beginning = pool.submit(begin)
                if not kills_at_once:
                    beginning.result()
                time.sleep(chance.uniform(0.0, 0.02 if kills_at_once else 0.8))
                service.kill()
                beginning.result()
            service = stack.enter_context(running_service(tmp_path / "data", settings))
            answers.current = service
            if number % 5 == 4 or number == times - 1:
                slowest = max(slowest, until(lambda: answers.in_progress() == []))
        for interaction_id in begun:
            reader = answers.reader(interaction_id)
            reader.whole()
            kept = answers.kept(interaction_id)
            assert (kept["status"], kept["response"]) == ("completed", provider.text)
            assert text_of(reader.events) == provider.text
        service.stop()
    figure(f"background: {times} deaths, nothing in progress {slowest:.1f} s after a start")
    assert slowest <= IN_PROGRESS_SECONDS


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.faults)])
def test_at_sigterm_the_next_process_goes_on_at_once(
    tmp_path: Path, times: int, figure: Figure
) -> None:
    """The lease is long: what is waited for is not its end."""
    answers = Answers()
    slowest_stop, slowest_start = 0.0, 0.0
    with paced_provider(words=60) as provider:
        settings = {
            **provider.settings(tmp_path),
            "ANSWER_LEASE_SECONDS": "600",
            "MAX_ANSWER_TAKEOVERS": "1",
        }
        for number in range(times):
            with running_service(tmp_path / "data", settings) as service:
                answers.current = service
                interaction_id = answers.begin(f"term {number}")
                reader = answers.reader(interaction_id)
                until(lambda reader=reader: len(reader.events) > 5)
                answers.current = None
                began = time.monotonic()
                assert service.stop() == 0
                slowest_stop = max(slowest_stop, time.monotonic() - began)
            events = len(reader.events)
            assert names_of(reader.events) == ["meta", "delta"]
            with running_service(tmp_path / "data", settings) as service:
                answers.current = service
                began = time.monotonic()
                until(lambda reader=reader, events=events: len(reader.events) > events)
                slowest_start = max(slowest_start, time.monotonic() - began)
                reader.whole()
                kept = answers.kept(interaction_id)
                assert (kept["status"], kept["response"]) == ("completed", provider.text)
                assert names_of(reader.events) == ["meta", "delta", "done"]
                outcomes = [attempt["outcome"] for attempt in kept["attempts"]]
                assert outcomes == ["cancelled", "ok"]
    figure(f"background: SIGTERM ends in {slowest_stop:.1f} s, goes on {slowest_start:.1f} s later")
    assert slowest_stop < 10.0
    assert slowest_start < 15.0


def test_erasing_a_running_answer_closes_its_call_and_leaves_nothing(tmp_path: Path) -> None:
    answers = Answers()
    with (
        paced_provider(words=100) as provider,
        store_settings("mongodb", tmp_path, provider.settings(tmp_path)) as settings,
        running_service(tmp_path / "data", settings) as service,
        running_service(tmp_path / "data", settings) as other,
        other.client() as client,
    ):
        answers.current = service
        for number, path in enumerate(("/v1/history/ana/{}", "/v1/history/ana")):
            interaction_id = answers.begin(f"erase {number}")
            reader = answers.reader(interaction_id)
            until(lambda reader=reader: len(reader.events) > 3)
            assert client.delete(path.format(interaction_id)).status_code in (200, 204)
            (call,) = provider.calls_of(f"erase {number}")
            assert until(lambda call=call: call.ended_seconds) <= CLOSED_SECONDS
            for what in ("", "/events"):
                response = client.get(f"/v1/history/ana/{interaction_id}{what}")
                assert response.status_code == 404
        page = client.get("/v1/history/ana", params={"status": "in_progress"})
        assert page.json()["history"] == []
        time.sleep(3.0)  # longer than a lease: no process goes on with it
        assert len(provider.calls) == 2
