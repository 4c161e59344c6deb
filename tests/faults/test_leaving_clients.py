"""Clients that leave: the provider is left too, what came is kept, and nothing of them stays behind."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from infra.selftest.fault import WHOLE_TEXT
from infra.selftest.provider import Call
from tests.faults.aborting_clients import (
    WAYS,
    WORD_LENGTH,
    AbortedRequest,
    AbortingClient,
    Drip,
    request,
)
from tests.faults.fault_scenario import HANG_UP_SECONDS, FaultScenario, running_scenario, until
from tests.faults.inside import files, tasks, telling
from tests.faults.routes import WIRES, upstream

STREAMS = {"some": 42, "many": 500}
PLAIN = {"some": 24, "many": 200}
AT_ONCE = 100
MOST_WORDS = 8
EVERY_SECONDS = 0.2
SPARE_FILES = 2
KEY = {"Idempotency-Key": "opens-every-file"}
_SETTLED_SECONDS = 10.0
_PATIENCE_SECONDS = 30.0

how_many = pytest.mark.parametrize(
    "crowd", ["some", pytest.param("many", marks=pytest.mark.faults)]
)


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultScenario]:
    folder = tmp_path_factory.mktemp("leaving")
    settings = telling(folder / "telling")
    with running_scenario(folder, ["drip", "late-0.3s"], settings=settings) as scenario:
        yield scenario


@pytest.fixture
def drip(scenario: FaultScenario) -> Drip:
    drip = Drip(EVERY_SECONDS, {})
    for wire in WIRES:
        scenario.provider.override[upstream(f"{wire}-drip", "drip")] = drip
    return drip


@pytest.fixture
def nothing_stays(scenario: FaultScenario) -> Iterator[None]:
    """Whatever a test does, afterwards there are no more tasks, files and sockets than before."""

    def files_held() -> int:
        return (
            files(scenario.service) - scenario.provider.connections
        )  # idle ones are kept for the next

    def tasks_held() -> int:
        return tasks(scenario.service)

    asked = {"userId": "first", "userPrompt": "?"}
    assert scenario.client.post("/v1/chat", json=asked, headers=KEY).status_code == 200
    assert scenario.kept_of("first")
    tasks_before, files_before = tasks_held(), files_held()
    yield
    until(lambda: tasks_held() <= tasks_before, _SETTLED_SECONDS)
    until(lambda: files_held() <= files_before + SPARE_FILES, _SETTLED_SECONDS)
    assert scenario.provider.under_way() == 0
    assert scenario.metrics("rt_provider_calls_in_flight") == {}


@pytest.mark.realtime  # each of many calls has to end within a second of its client
@how_many
@pytest.mark.usefixtures("nothing_stays")
def test_a_stream_whose_client_leaves_hangs_up_and_keeps_what_came(
    scenario: FaultScenario, drip: Drip, crowd: str, figure: Callable[[str], None]
) -> None:
    count, user = STREAMS[crowd], f"leaver-{crowd}"
    dice = random.Random(count)
    plans = [
        (f"{user} asks {number}", WAYS[number % 3], dice.randint(0, MOST_WORDS))
        for number in range(count)
    ]
    left = asyncio.run(all_leave(scenario, user, plans))
    calls = {call.question: call for call in list(scenario.provider.calls) if call.question in left}
    assert len(calls) == count
    until(lambda: all(call.ended_seconds for call in calls.values()), _PATIENCE_SECONDS)
    late = [(calls[one].ended_seconds or 0.0) - left[one].at_seconds for one in left]
    assert max(late) <= HANG_UP_SECONDS
    until(lambda: len(scenario.kept_of(user)) == count, _PATIENCE_SECONDS)
    kept = scenario.kept_of(user)
    assert Counter(one["status"] for one in kept) == {"client_cancelled": count}
    assert {attempt["outcome"] for one in kept for attempt in one["attempts"]} == {"cancelled"}
    off = Counter(words_kept(one) - left[one["userPrompt"]].words for one in kept)
    for one in kept:
        was = left[one["userPrompt"]]
        assert words_kept(one) <= drip.said[one["userPrompt"]]
        assert was.words <= words_kept(one) + (1 if was.is_all else 0)
        assert words_kept(one) <= was.words + 1 or not was.is_all
    figure(
        f"{count} streams left: provider's connection closed after {max(late):.3f} s at the latest;"
        f" words kept beyond those read: {dict(sorted(off.items()))}"
    )


def words_kept(interaction: Mapping[str, Any]) -> int:
    words, rest = divmod(len(interaction["response"]), WORD_LENGTH)
    assert rest == 0
    assert interaction["response"] == "".join(f"w{n:05d} " for n in range(1, words + 1))
    return words


async def all_leave(
    scenario: FaultScenario, user: str, plans: list[tuple[str, str, int]]
) -> dict[str, AbortedRequest]:
    """Ask every question through one of the doors, and leave it as planned."""
    room = asyncio.Semaphore(AT_ONCE)

    async def leave(number: int, question: str, way: str, words: int) -> AbortedRequest:
        async with room:
            path, body = streamed(number, user, question)
            client = await AbortingClient.with_request(scenario.service.port, path, body)
            if words:
                await client.read_words(words)
            else:
                await called(scenario, question)
            return await client.leave(way)

    lefts = await asyncio.gather(*(leave(n, *plan) for n, plan in enumerate(plans)))
    return {plan[0]: left for plan, left in zip(plans, lefts, strict=True)}


def streamed(number: int, user: str, question: str) -> tuple[str, dict[str, Any]]:
    """One request in four for each door and wire."""
    model = f"{WIRES[number // 2 % 2]}-drip"
    if number % 2:
        return "/v1/chat", {"userId": user, "userPrompt": question, "model": model, "stream": True}
    messages = [{"role": "user", "content": question}]
    return "/v1/chat/completions", {
        "user": user,
        "messages": messages,
        "model": model,
        "stream": True,
    }


async def called(scenario: FaultScenario, question: str) -> Call:
    """Return the provider's call for this question, once there is one."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            for call in reversed(scenario.provider.calls):
                if call.question == question:
                    return call
            await asyncio.sleep(0.005)


@how_many
@pytest.mark.usefixtures("nothing_stays")
def test_a_plain_call_whose_client_leaves_runs_on_and_is_there_for_its_key(
    scenario: FaultScenario, crowd: str, figure: Callable[[str], None]
) -> None:
    count, user = PLAIN[crowd], f"plain-{crowd}"
    dice = random.Random(count)
    delays = [dice.uniform(0.0, 0.4) for _ in range(count)]

    def body(number: int) -> dict[str, Any]:
        model = f"{WIRES[number % 2]}-late-0.3s"
        return {"userId": user, "userPrompt": f"{user} asks {number}", "model": model}

    async def leave(number: int) -> None:
        key = f"Idempotency-Key: {user}-{number}\r\n"
        client = await AbortingClient.with_request(
            scenario.service.port, "/v1/chat", body(number), key
        )
        await called(scenario, f"{user} asks {number}")
        await asyncio.sleep(delays[number])
        await client.leave(WAYS[number % 2])

    async def all_of_them() -> None:
        await asyncio.gather(*(leave(number) for number in range(count)))

    asyncio.run(all_of_them())
    until(lambda: len(scenario.kept_of(user)) == count, _PATIENCE_SECONDS)
    kept = {one["userPrompt"]: one for one in scenario.kept_of(user)}
    assert {(one["status"], one["response"]) for one in kept.values()} == {
        ("completed", WHOLE_TEXT)
    }
    started = time.monotonic()
    for number in range(count):
        again = scenario.client.post(
            "/v1/chat", json=body(number), headers={"Idempotency-Key": f"{user}-{number}"}
        )
        assert (again.status_code, again.headers.get("Idempotency-Replayed")) == (200, "true")
        assert again.json()["id"] == kept[body(number)["userPrompt"]]["id"]
    asked = [call for call in list(scenario.provider.calls) if call.question in kept]
    assert len(asked) == count
    figure(
        f"{count} plain calls left: all completed, and found again by their keys in"
        f" {(time.monotonic() - started) / count * 1000:.0f} ms each"
    )


CUTS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "half a head": lambda request: request[:30],
    "a head": lambda request: request.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
    "half a body": lambda request: request[:-5],
    "all": lambda request: request,
    "all twice": lambda request: request * 2,
}


@pytest.mark.usefixtures("nothing_stays")
def test_however_oddly_a_client_ends_nothing_breaks_and_nothing_is_stuck(
    scenario: FaultScenario,
) -> None:
    user, first_line = "odd", len(scenario.service.log)
    requests = [
        request(path, {**body, "model": "alt-healthy", "stream": is_streamed})
        for number in range(2)
        for path, body in [streamed(number, user, "?")]
        for is_streamed in (False, True)
    ]

    async def end(sent: bytes, way: str) -> None:
        client = await AbortingClient.connected(scenario.service.port)
        await client.send(sent)
        with suppress(ConnectionError):  # reset by the service, for what it could not read
            await client.leave(way)

    async def all_of_them() -> None:
        ends = [end(cut(one), way) for one in requests for cut in CUTS.values() for way in WAYS]
        await asyncio.gather(*ends)
        pipelining = await AbortingClient.connected(scenario.service.port)
        await pipelining.send(requests[0] * 2 + requests[2] * 2)
        assert (await pipelining.read_answers(4)).count(b"HTTP/1.1 200") == 4
        await pipelining.leave("reset")

    asyncio.run(all_of_them())
    assert scenario.ask("alt-healthy").is_done
    statuses = {
        line["http"]["response"]["status_code"]
        for line in scenario.service.lines()[first_line:]
        if line["log"]["logger"] == "app.access"
    }
    assert 200 in statuses
    assert statuses <= {200, 400, 499}
