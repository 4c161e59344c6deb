"""Alarm rules. Each has a section with its name in `deploy/runbook.md`."""

from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch

from stacks.balancer import Balancer
from stacks.data import DataStack
from stacks.metrics import (
    gateway_errors,
    healthy_tasks,
    own,
    running_tasks,
    server_errors,
    share,
    tasks_that_ended,
    throttled_writes,
    waiting,
    waiting_seconds,
)
from stacks.network import ZONES

_BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
_ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
_QUIET = cloudwatch.TreatMissingData.NOT_BREACHING
_DEAD = cloudwatch.TreatMissingData.BREACHING


@dataclass(frozen=True, slots=True)
class Rule:
    """Condition of an alarm.

    Attributes:
        name: A heading of the runbook.
        says: Meaning in one sentence.
        limit: Threshold that the metric has to exceed.
        minutes: The limit has to be exceeded in this many of the last `of` minutes, by default in all of them.
        comparison: With `_BELOW` the metric has to be below the limit.
        missing: Treatment of minutes without data.
    """

    name: str
    says: str
    metric: cloudwatch.IMetric
    limit: float
    minutes: int
    of: int | None = None
    comparison: cloudwatch.ComparisonOperator = _ABOVE
    missing: cloudwatch.TreatMissingData = _QUIET


def rules(data: DataStack, balancer: Balancer) -> list[Rule]:
    """Return all of them."""
    return [*_of_service(balancer), *_of_providers(), *_of_history(data)]


def _must_be(
    name: str, says: str, metric: cloudwatch.IMetric, at_least: int, *, minutes: int
) -> Rule:
    return Rule(name, says, metric, at_least, minutes, comparison=_BELOW, missing=_DEAD)


def _of_service(balancer: Balancer) -> list[Rule]:
    healthy = healthy_tasks(balancer.targets)
    return [
        _must_be("ServiceDown", "No task of the API is healthy.", healthy, 1, minutes=2),
        _must_be(
            "TooFewTasks",
            "The API has fewer tasks than it needs.",
            healthy,
            ZONES - 1,
            minutes=5,
        ),
        Rule(
            "ServiceErrors",
            "More than 5 % of requests are answered with a 5xx.",
            server_errors(balancer.balancer),
            limit=5,
            minutes=5,
        ),
        Rule(
            "ServiceIsSlow",
            "The service itself adds more than a quarter of a second to one chat in twenty.",
            own("OverheadSeconds", "p95"),
            limit=0.25,
            minutes=10,
        ),
        Rule(
            "ServiceRestarts",
            "Tasks of the API or the worker end unexpectedly, repeatedly.",
            tasks_that_ended(),
            limit=0,
            minutes=3,
            of=15,
        ),
        Rule(
            "ChatsShed",
            "Chats are refused because too many are in flight.",
            own("ChatsInFlight", "Maximum"),
            limit=900,
            minutes=3,
        ),
        Rule(
            "AnswersWait",
            "Background answers of ended tasks wait for a task with room for them.",
            own("BackgroundAnswersWaiting", "Maximum"),
            limit=0,
            minutes=2,
        ),
        Rule(
            "FilesRunOut",
            "A task uses four fifths of its file descriptors.",
            own("OpenFilesRatio", "Maximum"),
            limit=0.8,
            minutes=5,
        ),
        Rule(
            "GatewayErrors",
            "The gateway itself answers with a 5xx; the request did not reach the service.",
            gateway_errors(),
            limit=10,
            minutes=3,
        ),
    ]


def _of_providers() -> list[Rule]:
    return [
        Rule(
            "ProvidersFailing",
            "More than half of the calls of providers fail.",
            share(own("FailedAttempts"), own("AllAttempts"), 20),
            limit=50,
            minutes=5,
        ),
        Rule(
            "ProviderRefusesKey",
            "A provider rejects our key or does not know our model.",
            own("Attempts", outcome="misconfigured"),
            limit=0,
            minutes=1,
        ),
        Rule(
            "ProviderIsSilent",
            "One call in twenty waits more than ten seconds for its first token.",
            own("FirstChunkSeconds", "p95"),
            limit=10,
            minutes=10,
        ),
        Rule(
            "ProviderIsFull",
            "Calls are not made because a provider's limit of concurrent calls is reached.",
            own("ProviderCallsRefused"),
            limit=0,
            minutes=5,
        ),
        Rule(
            "EveryRouteIsOpen",
            "A task has no route that lets calls through.",
            own("UsableRoutes", "Minimum"),
            limit=1,
            minutes=2,
            comparison=_BELOW,
        ),
    ]


def _of_history(data: DataStack) -> list[Rule]:
    return [
        # Tasks have no outbox by default; these three apply with OUTBOX_ENABLED and a volume.
        Rule(
            "OutboxIsOld",
            "A task has undelivered interactions older than five minutes.",
            own("OutboxLagSeconds", "Maximum"),
            limit=300,
            minutes=2,
        ),
        Rule(
            "OutboxIsFull",
            "A task will soon refuse chats: four fifths of its outbox are used.",
            own("OutboxFillRatio", "Maximum"),
            limit=0.8,
            minutes=1,
        ),
        Rule(
            "RelayFails",
            "A task fails to deliver interactions because of an unexpected error.",
            own("RelayFailures"),
            limit=0,
            minutes=1,
        ),
        Rule(
            "ChatsNotKept",
            "Chats are answered that cannot be stored.",
            own("NotKept"),
            limit=0,
            minutes=1,
        ),
        Rule(
            "QueueIsOld",
            "Interactions have waited for the table for more than five minutes.",
            waiting_seconds(data.queue),
            limit=300,
            minutes=3,
        ),
        Rule(
            "QueueIsLong",
            "More than 50 000 interactions wait for the table.",
            waiting(data.queue),
            limit=50_000,
            minutes=5,
        ),
        Rule(
            "DeadLetters",
            "Interactions could not be stored and are in the dead-letter queue.",
            waiting(data.dead_letters),
            limit=0,
            minutes=1,
        ),
        _must_be(
            "NoWorker",
            "No worker runs, so nothing leaves the queue.",
            running_tasks("worker"),
            1,
            minutes=5,
        ),
        Rule(
            "TableThrottles",
            "DynamoDB throttles writes repeatedly.",
            throttled_writes(data.table),
            limit=0,
            minutes=5,
            of=10,
        ),
    ]
