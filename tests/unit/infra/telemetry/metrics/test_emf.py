"""The lines CloudWatch makes metrics of."""

import asyncio
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.interaction import PROVISIONAL, Attempt, Status
from domain.entities.reply import FinishReason, Reply, Usage
from domain.interfaces.telemetry import RequestOutcome
from infra.llm.resilience.route_health import RouteClosure, RouteHealth, RouteState
from infra.telemetry.metrics.background_metrics import BackgroundCounts
from infra.telemetry.metrics.emf import PERIOD_SECONDS, EmfLines, writing_emf
from infra.telemetry.metrics.metrics import Metrics
from infra.telemetry.metrics.outbox_metrics import OutboxSnapshot
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.clock import START_MILLISECONDS, FakeClock
from tests.fakes.ends import a_delivery, answered
from tests.fakes.interactions import an_interaction

DEPLOY = Path(__file__).parents[5] / "deploy"
TURN = ChatRequestContext(
    id="0199a1b2-0000-7000-8000-000000000000",
    user_id="ana",
    model="m",
    started_seconds=0.0,
    first_text_deadline=Deadline(60.0),
    answer_deadline=Deadline(60.0),
)
OUTBOX = OutboxSnapshot(rows=1, size_bytes=1, fill_ratio=0.1, lag_seconds=1.0, relay_failures=0)


def emitted(lines: EmfLines) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.next(START_MILLISECONDS)]


def call(metrics: Metrics, outcome: str = "ok", seconds: float = 0.5) -> None:
    attempt = Attempt(provider="gemini", model="m", outcome=outcome, seconds=seconds)
    if outcome == "ok":
        usage = Usage(input_tokens=10, output_tokens=20)
        metrics.attempt_ended(
            TURN, replace(attempt, usage=usage), 0.1, Reply(finish_reason=FinishReason.STOP)
        )
    else:
        metrics.attempt_ended(TURN, attempt, None, None)


def made() -> tuple[Metrics, EmfLines]:
    metrics = Metrics(version="1", environment="production")
    metrics.watch_chats_in_flight(lambda: 3, limit=1000)
    return metrics, EmfLines(metrics.registry, "rt-genai")


def names(line: dict[str, Any]) -> set[str]:
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    return {metric["Name"] for metric in directive["Metrics"]}


def test_a_quiet_task_still_tells_what_it_is_at() -> None:
    _, lines = made()
    (line,) = emitted(lines)
    assert line["service"] == "rt-genai"
    assert line["ChatsInFlight"] == 3
    assert line["Requests"] == line["AllAttempts"] == line["FailedAttempts"] == 0
    assert line["_aws"]["Timestamp"] == START_MILLISECONDS


def test_every_metric_and_dimension_stands_in_its_line() -> None:
    metrics, lines = made()
    metrics.observe_request(answered("/v1/chat", "POST", 200, 0.6, llm_seconds=0.5))
    call(metrics)
    for line in emitted(lines):
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        named = names(line) | {one for found in directive["Dimensions"] for one in found}
        assert named == line.keys() - {"_aws"}


def test_requests_are_told_once_and_errors_among_them() -> None:
    metrics, lines = made()
    metrics.observe_request(answered("/v1/chat", "POST", 200, 0.6, llm_seconds=0.5))
    metrics.observe_request(answered("/v1/chat", "POST", 503, 0.6))
    (first, *_) = emitted(lines)
    assert (first["Requests"], first["ServerErrors"]) == (2, 1)
    assert sum(first["RequestSeconds"]["Counts"]) == 2
    (second,) = emitted(lines)
    assert second["Requests"] == 0
    assert "RequestSeconds" not in second


def test_calls_are_told_by_provider_model_and_outcome() -> None:
    metrics, lines = made()
    for outcome in ("ok", "ok", "timeout", "blocked", "cancelled"):
        call(metrics, outcome)
    (task, *others) = emitted(lines)
    assert (task["AllAttempts"], task["FailedAttempts"]) == (5, 1)
    routes = {line["outcome"]: line for line in others if "outcome" in line}
    assert {name: line["Attempts"] for name, line in routes.items()} == {
        "ok": 2,
        "timeout": 1,
        "blocked": 1,
        "cancelled": 1,
    }
    assert {(line["provider"], line["model"]) for line in others} == {("gcp.gemini", "m")}
    (model,) = [line for line in others if "outcome" not in line]
    assert (model["InputTokens"], model["OutputTokens"]) == (20, 40)
    assert sum(model["FirstChunkSeconds"]["Counts"]) == 2


def test_seconds_are_told_within_their_bucket() -> None:
    metrics, lines = made()
    for seconds in (0.5, 0.5, 1_000.0):
        call(metrics, seconds=seconds)
    spread = next(line["AttemptSeconds"] for line in emitted(lines) if "AttemptSeconds" in line)
    assert spread["Counts"] == [2, 1]
    middle, last = spread["Values"]
    assert 0.32 < middle < 0.64
    assert last == 81.92


def a_route(model: str, state: RouteState) -> RouteHealth:
    closure = RouteClosure(state=state, since_milliseconds=0, retry_after_seconds=1.0)
    return RouteHealth(
        provider="gemini",
        model=model,
        closure=None if state is RouteState.HEALTHY else closure,
        in_flight=0,
        retry_tokens=100,
    )


def test_a_route_is_usable_while_it_lets_calls_through() -> None:
    metrics, lines = made()
    states = [RouteState.HALF_OPEN, RouteState.HALF_OPEN, RouteState.OPEN, RouteState.COOLING]
    routes = [a_route(f"{number}", state) for number, state in enumerate(states)]
    metrics.watch_routes(lambda: routes)
    assert emitted(lines)[0]["UsableRoutes"] == 2
    assert "UsableRoutes" not in emitted(EmfLines(CollectorRegistry(), "a worker"))[0]


def test_no_user_is_ever_named() -> None:
    metrics, lines = made()
    call(metrics)
    assert not any(b"ana" in line for line in lines.next(0))


def test_what_nobody_watches_is_left_out() -> None:
    (line,) = [json.loads(line) for line in EmfLines(CollectorRegistry(), "rt").next(0)]
    assert "ChatsInFlight" not in line


async def test_a_line_comes_every_minute_and_the_last_part_of_one_at_the_end() -> None:
    metrics, _ = made()
    clock = FakeClock(sleeping_advances=False)
    written: list[dict[str, Any]] = []

    def write(line: bytes) -> None:
        written.append(json.loads(line))

    async with writing_emf(metrics.registry, service="rt-genai", clock=clock, write=write):
        await asyncio.sleep(0)
        assert written == []
        clock.advance(PERIOD_SECONDS)
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(written) == 1
        metrics.observe_request(answered("/v1/chat", "POST", 200, 0.6))
    assert [line["Requests"] for line in written] == [0, 1]


async def everything_happens(metrics: Metrics) -> None:
    """Let there be something to tell of each figure: in a service and a worker in one."""
    queue = metrics.count_queue()
    route = RouteHealth(provider="gemini", model="m", closure=None, in_flight=1, retry_tokens=100)
    metrics.watch_routes(lambda: [route])
    delivered = metrics.watch_outbox(lambda: OUTBOX, FakeClock())
    delivered([an_interaction()])
    background = metrics.count_background()
    background.watch(
        BackgroundCounts(running=lambda: 1, waiting=lambda: 1, readers=lambda: 1, limit=100)
    )
    background.records_written(seconds=0.01)
    attachments = metrics.count_attachments(FakeClock())
    attachments.observe_stored(1, is_new=True)
    attachments.observe_sweep(contents=1, released=0, seconds=0.1)
    for status in (one for one in Status if one not in PROVISIONAL):
        chat = replace(
            a_chat_context(), history_seconds=0.1, interaction=an_interaction(status=status)
        )
        metrics.observe_request(
            RequestOutcome(route="/v1/chat", method="POST", status=200, seconds=0.6, context=chat)
        )
    queue.observe_recorded(a_delivery(), lag_seconds=0.1, work_seconds=0.01)
    call(metrics)

    async def count() -> int:
        return 1

    async with metrics.watching_queues(count, count, FakeClock(sleeping_advances=False)):
        await asyncio.sleep(0)


async def test_everything_the_alarms_and_dashboards_of_aws_look_at_is_told() -> None:
    metrics, lines = made()
    await everything_happens(metrics)
    found = {name for line in emitted(lines) for name in names(line)}
    stacks = (DEPLOY / "aws" / "stacks").glob("*.py")
    wanted = {
        name
        for file in stacks
        for name in re.findall(r'\b(?:own|_search)\(\s*"(\w+)"', file.read_text(encoding="utf-8"))
    }
    for file in (DEPLOY / "grafana" / "cloudwatch").glob("*.json"):
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            wanted |= {target["metricName"] for target in panel["targets"]}
    assert {"ChatsInFlight", "Attempts", "FailedAttempts"} < wanted
    assert wanted <= found


def test_a_process_tells_how_it_fares() -> None:
    metrics = Metrics(version="1", environment="test")
    lines = EmfLines(metrics.registry, "rt-genai")
    now = time.time_ns() // 1_000_000
    (task,) = [json.loads(line) for line in lines.next(now)]
    assert task["ProcessorShare"] > 0
    assert 0 < task["OpenFilesRatio"] < 1
    assert 0 < task["UptimeSeconds"] < 24 * 3600
    assert task["ResidentBytes"] > 1024**2


def test_a_route_that_is_not_well_is_counted_in_whatever_state_it_is() -> None:
    metrics, lines = made()
    routes = [a_route(f"{number}", state) for number, state in enumerate(RouteState)]
    metrics.watch_routes(lambda: routes)
    assert emitted(lines)[0]["RoutesNotWell"] == len(RouteState) - 1
