"""Every alarm of the synthesised stack is made to fire: by the documented rules, and in an emulator where it knows them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Gauge, ProcessCollector

from domain.entities.interaction import Attempt
from infra.llm.resilience.route_health import RouteClosure, RouteHealth, RouteState
from infra.telemetry.metrics.background_metrics import BackgroundCounts
from infra.telemetry.metrics.emf import EmfLines
from infra.telemetry.metrics.metrics import Metrics as ServiceMetrics
from infra.telemetry.metrics.outbox_metrics import OutboxSnapshot
from tests.deploy.cloudwatch import Metrics, Name, fires, names_in
from tests.deploy.conftest import Template
from tests.deploy.expressions import rules
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.clock import FakeClock
from tests.fakes.ends import answered
from tests.fakes.provider import models_file, provider_in_thread
from tests.support.aws_emulator import AwsEmulator
from tests.support.data_stack import client_of
from tests.support.service import running_service

PATIENCE_SECONDS = 30.0
LONG_MINUTES = 30

OF_AWS: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    # by the metric's name: a minute that is bad, and one that is good
    "ServiceErrors": (
        {"RequestCount": 100, "HTTPCode_Target_5XX_Count": 6},
        {"RequestCount": 100, "HTTPCode_Target_5XX_Count": 5},
    ),
    "ServiceDown": ({"HealthyHostCount": 0}, {"HealthyHostCount": 1}),
    "ServiceRestarts": ({"Invocations": 1}, {"Invocations": 0}),
    "TooFewTasks": ({"HealthyHostCount": 1}, {"HealthyHostCount": 2}),
    "DeadLetters": (
        {"ApproximateNumberOfMessagesVisible": 1},
        {"ApproximateNumberOfMessagesVisible": 0},
    ),
    "QueueIsOld": ({"ApproximateAgeOfOldestMessage": 301}, {"ApproximateAgeOfOldestMessage": 300}),
    "QueueIsLong": (
        {"ApproximateNumberOfMessagesVisible": 50_001},
        {"ApproximateNumberOfMessagesVisible": 50_000},
    ),
    "NoWorker": ({"RunningTaskCount": 0}, {"RunningTaskCount": 1}),
    "TableThrottles": ({"WriteThrottleEvents": 1}, {"WriteThrottleEvents": 0}),
    "GatewayErrors": ({"GatewayErrors": 11}, {"GatewayErrors": 10}),
}


def calls(metrics: ServiceMetrics, *outcomes: str, first_text_seconds: float = 0.1) -> None:
    for outcome in outcomes:
        attempt = Attempt(provider="gemini", model="m", outcome=outcome, seconds=1.0)
        first = first_text_seconds if outcome == "ok" else None
        metrics.attempt_ended(a_chat_context(), attempt, first, None)


def chats(metrics: ServiceMetrics, *, added_seconds: float) -> None:
    for _ in range(20):
        metrics.observe_request(
            answered("/v1/chat", "POST", 200, 1.0 + added_seconds, llm_seconds=1.0)
        )


def routes(metrics: ServiceMetrics, state: RouteState, *, refused: int = 0) -> None:
    closure = None
    if state is not RouteState.HEALTHY:
        closure = RouteClosure(state=state, since_milliseconds=0, retry_after_seconds=10.0)
    route = RouteHealth(
        provider="gemini",
        model="m",
        closure=closure,
        in_flight=0,
        refused=refused,
        retry_tokens=100,
    )
    metrics.watch_routes(lambda: [route])


def files(metrics: ServiceMetrics, used_percent: int) -> None:
    registry = metrics.registry
    (real,) = [one for one in registry._collector_to_names if isinstance(one, ProcessCollector)]
    registry.unregister(real)
    for name, value in (("start_time_seconds", 1), ("open_fds", used_percent), ("max_fds", 100)):
        Gauge(f"process_{name}", "of a process", registry=registry).set(value)


def outbox(
    metrics: ServiceMetrics,
    *,
    fill_percent: int = 0,
    lag_seconds: float = 0.0,
    relay_failures: int = 0,
) -> None:
    figures = OutboxSnapshot(
        rows=1,
        size_bytes=1,
        fill_ratio=fill_percent / 100,
        lag_seconds=lag_seconds,
        relay_failures=relay_failures,
    )
    metrics.watch_outbox(lambda: figures, FakeClock())


OUR_OWN: dict[
    str, tuple[Callable[[ServiceMetrics], object], Callable[[ServiceMetrics], object]]
] = {
    "ProvidersFailing": (
        lambda it: calls(it, *["timeout"] * 11, *["ok"] * 9),
        lambda it: calls(it, *["blocked"] * 11, *["ok"] * 9),
    ),
    "ProviderRefusesKey": (
        lambda it: calls(it, "misconfigured", "ok"),
        lambda it: calls(it, "unavailable", "ok"),
    ),
    "ProviderIsSilent": (
        lambda it: calls(it, *["ok"] * 20, first_text_seconds=15.0),
        lambda it: calls(it, *["ok"] * 20, first_text_seconds=5.0),
    ),
    "EveryRouteIsOpen": (
        lambda it: routes(it, RouteState.OPEN),
        lambda it: routes(it, RouteState.HEALTHY),
    ),
    "ServiceIsSlow": (
        lambda it: chats(it, added_seconds=0.4),
        lambda it: chats(it, added_seconds=0.05),
    ),
    "ChatsShed": (
        lambda it: it.watch_chats_in_flight(lambda: 901, limit=1000),
        lambda it: it.watch_chats_in_flight(lambda: 900, limit=1000),
    ),
    "AnswersWait": (lambda it: answers_waiting(it, 1), lambda it: answers_waiting(it, 0)),
    "FilesRunOut": (lambda it: files(it, 81), lambda it: files(it, 80)),
    "ProviderIsFull": (
        lambda it: routes(it, RouteState.HEALTHY, refused=1),
        lambda it: routes(it, RouteState.HEALTHY),
    ),
    "OutboxIsOld": (lambda it: outbox(it, lag_seconds=301), lambda it: outbox(it, lag_seconds=300)),
    "OutboxIsFull": (
        lambda it: outbox(it, fill_percent=81),
        lambda it: outbox(it, fill_percent=80),
    ),
    "RelayFails": (lambda it: outbox(it, relay_failures=1), outbox),
    "ChatsNotKept": (
        lambda it: it.observe_request(not_kept()),
        lambda it: chats(it, added_seconds=0.0),
    ),
}


def answers_waiting(metrics: ServiceMetrics, count: int) -> None:
    metrics.count_background().watch(
        BackgroundCounts(running=lambda: 100, waiting=lambda: count, readers=lambda: 0, limit=100)
    )


def not_kept() -> Any:
    end = answered("/v1/chat", "POST", 200, 1.0, llm_seconds=1.0)
    assert end.context is not None
    end.context.is_stored = False
    return end


@pytest.fixture(scope="module")
def alarms(templates: dict[str, Template]) -> dict[str, dict[str, Any]]:
    return {
        resource["Properties"]["AlarmName"].removeprefix("rt-"): resource["Properties"]
        for resource in templates["rt-app"]["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm" and "AlarmName" in resource["Properties"]
    }


def minute_of_service(
    metrics: Metrics, minute: int, happens: Callable[[ServiceMetrics], object]
) -> None:
    """Let the lines that a service writes of such a minute arrive."""
    service = ServiceMetrics(version="1", environment="production")
    lines = EmfLines(service.registry, "rt-genai")
    happens(service)
    metrics.put_lines(lines.next(minute * 60_000), minute)


def minute_of_aws(
    metrics: Metrics, minute: int, names: dict[str, Name], values: dict[str, float]
) -> None:
    for name in names.values():
        metrics.put(name, minute, values[name[1]])


def test_there_is_a_case_for_every_alarm(alarms: dict[str, dict[str, Any]]) -> None:
    assert OF_AWS.keys() | OUR_OWN.keys() == alarms.keys()


@pytest.mark.parametrize("name", [*OF_AWS, *OUR_OWN])
def test_an_alarm_fires_when_it_should_and_not_a_minute_before(
    name: str, alarms: dict[str, dict[str, Any]]
) -> None:
    alarm, metrics = alarms[name], Metrics()

    def happens(minute: int, *, is_bad: bool) -> None:
        if name in OF_AWS:
            bad, good = OF_AWS[name]
            minute_of_aws(metrics, minute, names_in(alarm), bad if is_bad else good)
        else:
            worse, better = OUR_OWN[name]
            minute_of_service(metrics, minute, worse if is_bad else better)

    quiet = alarm["EvaluationPeriods"]
    for minute in range(quiet):
        happens(minute, is_bad=False)
    assert not fires(alarm, metrics, quiet - 1)
    for minute in range(quiet, quiet + LONG_MINUTES):
        happens(minute, is_bad=True)
        is_due = minute - quiet + 1 >= alarm["DatapointsToAlarm"]
        assert fires(alarm, metrics, minute) is is_due
    well = range(quiet + LONG_MINUTES, quiet + LONG_MINUTES + alarm["EvaluationPeriods"])
    for minute in well:
        happens(minute, is_bad=False)
    assert not fires(alarm, metrics, well[-1])


@pytest.mark.parametrize("name", [*OF_AWS, *OUR_OWN])
def test_silence_is_an_alarm_only_where_something_has_to_be_there(
    name: str, alarms: dict[str, dict[str, Any]]
) -> None:
    assert fires(alarms[name], Metrics(), LONG_MINUTES) is (
        name in {"NoWorker", "ServiceDown", "TooFewTasks"}
    )


def test_every_alert_of_prometheus_is_an_alarm_too(alarms: dict[str, dict[str, Any]]) -> None:
    assert {rule["alert"] for rule in rules()} <= alarms.keys()


def test_what_a_running_service_writes_into_its_log_makes_an_alarm_fire(
    alarms: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    metrics = Metrics()
    with provider_in_thread() as provider:
        settings = {
            "MODELS_FILE": str(
                models_file(tmp_path / "models.toml", provider, ["healthy", "bad-key"])
            ),
            "GEM_KEY": "a key nobody takes",
            "METRICS_EMF_ENABLED": "true",
        }
        with running_service(tmp_path / "data", settings) as service, service.client() as client:
            body = {"userId": "ana", "userPrompt": "hi", "model": "gem-bad-key"}
            assert client.post("/v1/chat", json=body).status_code == 503
            assert service.stop() == 0  # which writes the figures of the minute that has begun
    metrics.put_lines([line.encode() for line in service.log if '"_aws"' in line], minute=0)
    fired = {name for name in OUR_OWN if fires(alarms[name], metrics, 0)}
    assert fired == {"ProviderRefusesKey"}


def test_the_emulator_fires_what_it_can_and_tells_the_topic(
    emulator: AwsEmulator, alarms: dict[str, dict[str, Any]]
) -> None:
    """It evaluates plain alarms over one metric, without dimensions or metric math."""
    clouds, topics, queues = (client_of(emulator, one) for one in ("cloudwatch", "sns", "sqs"))
    topic = topics.create_topic(Name="alarms")["TopicArn"]
    url = queues.create_queue(QueueName="told")["QueueUrl"]
    told = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn = told["Attributes"]["QueueArn"]
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    plain = {name: alarm for name, alarm in alarms.items() if "Metrics" not in alarm}
    # the alerts of the other names fire in promtool's tests
    assert alarms.keys() - plain.keys() == {"ServiceErrors", "ProvidersFailing"}
    for name, alarm in plain.items():
        # a metric of its own for each, since two of them look at one metric in different queues
        asked = {**alarm, "AlarmActions": [topic], "OKActions": [], "Dimensions": []}
        clouds.put_metric_alarm(**asked | {"MetricName": name})
        for is_bad, state in ((False, "OK"), (True, "ALARM")):
            limit = alarm["Threshold"]
            beyond = 1.0 if alarm["ComparisonOperator"] == "GreaterThanThreshold" else -1.0
            value = limit + (100_000 if is_bad else 0) * beyond
            datum = {"MetricName": name, "Value": value}
            clouds.put_metric_data(Namespace=alarm["Namespace"], MetricData=[datum])
            (found,) = clouds.describe_alarms(AlarmNames=[alarm["AlarmName"]])["MetricAlarms"]
            assert found["StateValue"] == state, name
    fired: set[str] = set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(fired) < len(plain):
        assert time.monotonic() < deadline, plain.keys() - fired
        answer = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", ()):
            note = json.loads(json.loads(message["Body"])["Message"])
            if note["NewStateValue"] == "ALARM":
                fired.add(note["AlarmName"].removeprefix("rt-"))
    assert fired == plain.keys()
