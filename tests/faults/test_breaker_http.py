"""The circuit breaker of the real service: when it opens, whom it lets in to look, and that it always closes again."""

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from infra.selftest.exchange import Exchange
from infra.selftest.fault import healthy
from infra.selftest.faults import FAULTS
from tests.faults.fault_scenario import HANG_UP_SECONDS, FaultScenario, running_scenario, until
from tests.faults.load import RequestOutcome, asked_at_once, asked_at_rate, cpu_seconds, percentile
from tests.faults.pace import SCALED, SHIPPED
from tests.faults.routes import WIRES, behind, upstream

# The time limits of the service are scaled down to about a second; a call that a busy machine delays exceeds them.
pytestmark = pytest.mark.realtime

AT_ONCE = 100
LOST_PROBES = {"scaled": 12, "shipped": 100}
STORMS = {"scaled": (100.0, 2.0), "shipped": (500.0, 8.0)}
"""Questions a second, and for how many seconds."""
_PROBE_GRACE_SECONDS = 5.0
CALLERS_FAULTS = ("400", "413", "422", "blocked", "context-too-long")
OUR_FAULTS = ("401", "bad-key")
PERHAPS_OUR_FAULTS = ("402", "403", "404")
"""Of every call, or only of one that costs too much, comes from the wrong place or names something."""
ROUTES = [f"route-{number}" for number in range(LOST_PROBES["shipped"])]
UNHURRIED = replace(
    SCALED,
    first_token_seconds=2.0,
    request_timeout_seconds=20.0,
    breaker_open_seconds=1.0,  # a crowd of a hundred takes half of it
    breaker_open_cap_seconds=1.5,
)
BREAKING = ("opens", "wave", "broken-wave", "dead", "alive", "both-open")


@pytest.fixture(
    scope="module", params=[UNHURRIED, pytest.param(SHIPPED, marks=pytest.mark.faults)], ids=str
)
def scenario(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultScenario]:
    ours = (*OUR_FAULTS, *PERHAPS_OUR_FAULTS)
    faults = [*CALLERS_FAULTS, *ours, *BREAKING, *ROUTES[: LOST_PROBES[str(request.param)]]]
    with running_scenario(tmp_path_factory.mktemp("breaker"), faults, request.param) as scenario:
        yield scenario


def open_circuit(scenario: FaultScenario, model: str, fault: str) -> None:
    """Fail until it is open."""
    scenario.provider.override[upstream(model, fault)] = FAULTS["503"]
    for _ in range(10):
        scenario.ask(model)
        if scenario.degraded().get(model) == "open":
            return
    raise AssertionError(f"{model} is not open")


def wait_for_probe(scenario: FaultScenario) -> None:
    """Wait until any first opening has passed."""
    time.sleep(scenario.pace.breaker_open_seconds)


@pytest.mark.parametrize("wire", WIRES)
def test_it_opens_on_the_fifth_failure_and_then_nobody_waits(
    scenario: FaultScenario, wire: str, figure: Callable[[str], None]
) -> None:
    model = f"{wire}-opens-safe"
    name = upstream(model, "opens")
    scenario.provider.override[name] = FAULTS["503"]
    per_second = 5.0 if str(scenario.pace) == "shipped" else 50.0
    direct, while_open, openings = [], [], 0
    for number in range(20):
        direct.append(scenario.ask(f"{behind(wire)}-healthy").seconds)
        result = scenario.ask(model)
        assert result.is_done
        if len(result.attempts) == 1:
            while_open.append(result.seconds)
        elif number > 2:
            openings += 1
        time.sleep(1 / per_second)
    calls = scenario.provider.count(name)
    figure(
        f"503 always, {wire}, {scenario.pace}: {calls} calls of it in 20 requests; with the circuit open the slowest"
        f" answer took {max(while_open) * 1000:.0f} ms, the fallback alone {max(direct) * 1000:.0f} ms"
    )
    assert calls <= 5 + openings
    assert len(while_open) >= 20 - 3 - openings
    scenario.ask(model)
    state = scenario.degraded()[model].replace(" ", "_")
    assert state in ("open", "half_open")
    assert scenario.metrics("rt_route_state")[model, wire, state] == 1


@pytest.mark.parametrize("wire", WIRES)
def test_one_probe_is_under_way_whatever_the_crowd(
    scenario: FaultScenario, wire: str, figure: Callable[[str], None]
) -> None:
    model = f"{wire}-wave-safe"
    name = upstream(model, "wave")
    provider = scenario.provider
    open_circuit(scenario, model, "wave")
    wait_for_probe(scenario)
    provider.most_under_way[name] = 0
    for wave in range(2):  # two probes that are answered close it
        answers = crowd(scenario, model, name, wave)
        assert Counter(one.body["provider"] for one in answers) == {
            wire: 1,
            behind(wire): AT_ONCE - 1,
        }
    most = provider.most_under_way[name]
    figure(
        f"half-open, {AT_ONCE} at once, {wire}, {scenario.pace}: {most} probe under way at the most"
    )
    assert most == 1
    assert scenario.ask(model).outcomes == [(wire, "ok")]
    assert model not in scenario.degraded()


def crowd(scenario: FaultScenario, model: str, name: str, wave: int) -> list[RequestOutcome]:
    """Ask all at once; whoever is let through to the provider is answered after all the others."""
    provider = scenario.provider
    standby = upstream(f"{behind(model[:3])}-healthy", "healthy")
    others = provider.count(standby) + AT_ONCE - 1

    async def last_of_all(exchange: Exchange) -> None:
        while provider.count(standby) < others:
            await asyncio.sleep(0.01)
        await healthy(exchange)

    provider.override[name] = last_of_all
    user = f"crowd-{model}-{wave}"
    answers = asked_at_once(scenario.service, model, user, AT_ONCE)
    assert {one.status for one in answers} == {200}
    assert len(scenario.kept_of(user)) == AT_ONCE
    return answers


@pytest.mark.parametrize("wire", WIRES)
def test_a_probe_that_fails_costs_one_call(scenario: FaultScenario, wire: str) -> None:
    model = f"{wire}-broken-wave-safe"
    name = upstream(model, "broken-wave")
    open_circuit(scenario, model, "broken-wave")
    wait_for_probe(scenario)
    calls = scenario.provider.count(name)
    answers = asked_at_once(scenario.service, model, f"crowd-{model}", AT_ONCE)
    assert {one.status for one in answers} == {200}
    assert scenario.provider.count(name) == calls + 1


def test_a_lost_probe_never_keeps_a_route_closed(
    scenario: FaultScenario, figure: Callable[[str], None]
) -> None:
    count = LOST_PROBES[str(scenario.pace)]
    pace = scenario.pace
    lease_seconds = pace.first_token_seconds + _PROBE_GRACE_SECONDS
    patience_seconds = lease_seconds + pace.breaker_open_cap_seconds + 10.0

    def lose_and_recover(number: int) -> float:
        wire, fault = WIRES[number % 2], ROUTES[number]
        model = f"{wire}-{fault}-safe"
        name = upstream(model, fault)
        open_circuit(scenario, model, fault)
        wait_for_probe(scenario)
        way = number // 2 % 3
        scenario.provider.override[name] = FAULTS["400" if way == 2 else "silent"]
        calls = scenario.provider.count(name)
        if way == 0:
            assert scenario.ask(model).outcomes == [(wire, "timeout"), (behind(wire), "ok")]
        elif way == 1:
            leave_stream(scenario, model, name, calls)
        else:
            assert scenario.ask(model).slug == "provider-rejected"
        assert scenario.provider.count(name) == calls + 1
        del scenario.provider.override[name]
        recovering = time.monotonic()
        while scenario.ask(model).kept["provider"] != wire:
            assert time.monotonic() - recovering < patience_seconds, f"{model} is stuck"
            time.sleep(pace.breaker_open_seconds / 10)
        return time.monotonic() - recovering

    with ThreadPoolExecutor(count) as pool:
        seconds = list(pool.map(lose_and_recover, range(count)))
    figure(
        f"lost probes, {pace}: {len(seconds)} of {count} routes in use again, the last after {max(seconds):.1f} s"
    )
    assert len(seconds) == count


def leave_stream(scenario: FaultScenario, model: str, name: str, calls: int) -> None:
    """Ask, and hang up while the probe is out."""
    body = json.dumps({"userId": "leaver", "userPrompt": "?", "model": model, "stream": True})
    head = f"POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with socket.create_connection(("127.0.0.1", scenario.service.port)) as connection:
        connection.sendall(f"{head}\r\n\r\n{body}".encode())
        until(lambda: scenario.provider.count(name) > calls, 10.0)
    until(lambda: scenario.provider.under_way_of(name) == 0, 2 * HANG_UP_SECONDS)


@pytest.mark.parametrize("wire", WIRES)
def test_a_dead_model_takes_nothing_from_its_sibling(
    scenario: FaultScenario, wire: str, figure: Callable[[str], None]
) -> None:
    dead, alive = f"{wire}-dead-safe", f"{wire}-alive-safe"
    scenario.provider.override[upstream(dead, "dead")] = FAULTS["503"]
    result = []
    for _ in range(30):
        assert scenario.ask(dead).kept["provider"] == behind(wire)
        result.append(scenario.ask(alive))
    figure(
        f"sibling of a dead model, {wire}, {scenario.pace}: {len(result)} of 30 answered by itself"
    )
    assert all(one.outcomes == [(wire, "ok")] for one in result)
    assert alive not in scenario.degraded()
    assert scenario.degraded()[dead] in ("open", "half open")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", CALLERS_FAULTS)
def test_what_is_the_callers_doing_opens_nothing(
    scenario: FaultScenario, fault: str, wire: str
) -> None:
    model = f"{wire}-{fault}-safe"
    for _ in range(12):
        result = scenario.ask(model)
        assert (result.status, len(result.calls), len(result.attempts)) == (422, 1, 1)
    assert model not in scenario.degraded()


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", OUR_FAULTS)
def test_a_key_that_is_refused_is_our_fault_never_the_callers(
    scenario: FaultScenario, fault: str, wire: str
) -> None:
    model = f"{wire}-{fault}-safe"
    result = scenario.ask(model)
    assert result.outcomes == [(wire, "misconfigured"), (behind(wire), "ok")]
    assert scenario.ask(model).outcomes == [(behind(wire), "ok")]
    assert scenario.degraded()[model] == "misconfigured"
    alone = scenario.ask(f"{wire}-{fault}")
    assert (alone.status, alone.slug) == (503, "provider-misconfigured")
    assert alone.retry_after_seconds == 60
    (line,) = scenario.service.lines_with(f'{wire} {model}"')
    assert '"level":"error"' in line


@pytest.mark.seen("F4")
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", PERHAPS_OUR_FAULTS)
def test_a_refusal_that_may_concern_one_call_closes_the_route_when_it_is_the_fifth_in_a_row(
    scenario: FaultScenario, fault: str, wire: str
) -> None:
    model = f"{wire}-{fault}-safe"
    name = upstream(model, fault)
    refused = [(wire, "misconfigured"), (behind(wire), "ok")]
    assert [scenario.ask(model).outcomes for _ in range(4)] == [refused] * 4
    assert model not in scenario.degraded()
    scenario.provider.override[name] = healthy
    assert scenario.ask(model).outcomes == [(wire, "ok")]
    scenario.provider.override[name] = FAULTS[fault]
    assert [scenario.ask(model).outcomes for _ in range(5)] == [refused] * 5
    assert scenario.degraded()[model] == "misconfigured"
    assert scenario.ask(model).outcomes == [(behind(wire), "ok")]
    lines = scenario.service.lines_with(f'{wire} {model}"')
    assert len(lines) == 9
    assert all('"level":"error"' in line for line in lines)
    alone = scenario.ask(f"{wire}-{fault}")
    assert (alone.status, alone.slug) == (503, "provider-misconfigured")
    assert alone.retry_after_seconds == 60


def test_with_every_circuit_open_the_refusal_is_quick(
    scenario: FaultScenario, figure: Callable[[str], None]
) -> None:
    per_second, seconds = STORMS[str(scenario.pace)]
    model = "gem-both-open-both"
    for name in (model, "alt-both-open-standby"):
        scenario.provider.override[upstream(name, "both-open")] = FAULTS["503"]
    while scenario.ask(model).status != 503:
        pass
    user = f"refused-{scenario.pace}"
    cpu_before, before = cpu_seconds(scenario.service), time.monotonic()
    answers = asked_at_rate(scenario.service, model, user, per_second=per_second, seconds=seconds)
    cores = (cpu_seconds(scenario.service) - cpu_before) / (time.monotonic() - before)
    refused = [one for one in answers if one.status == 503]
    times = [one.seconds for one in refused]
    figure(
        f"both open, {per_second:.0f} a second, {scenario.pace}: {len(refused)} of {len(answers)} refused, p50"
        f" {percentile(times, 0.5) * 1000:.1f} ms, p99 {percentile(times, 0.99) * 1000:.1f} ms, {cores:.2f} cores"
    )
    assert {one.body["type"] for one in refused} == {"/problems/providers-unavailable"}
    assert {one.status for one in answers} <= {502, 503}  # a probe that fails is a 502
    assert len(refused) >= 0.95 * len(answers)
    assert cores < 1.0
    kept = scenario.kept_of(user)
    assert len(kept) == len(answers)
    assert {one["status"] for one in kept} == {"failed"}
