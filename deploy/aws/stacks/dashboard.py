"""A CloudWatch dashboard of the service, the providers and history."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from stacks.alarms import Alarms
from stacks.balancer import Balancer
from stacks.data import DataStack
from stacks.metrics import (
    NAMESPACE,
    SERVICE,
    own,
    running_tasks,
    server_errors,
    throttled_writes,
)
from stacks.parameters import PREFIX

_MINUTE = Duration.minutes(1)
_WIDTH = 8


def add_dashboard(
    scope: Construct,
    data: DataStack,
    balancer: Balancer,
    services: list[ecs.FargateService],
    alarms: Alarms,
) -> None:
    """Add the dashboard: alarms on top, then a row each for service, providers and history."""
    page = cloudwatch.Dashboard(
        scope, "Dashboard", dashboard_name=PREFIX, default_interval=Duration.hours(3)
    )
    page.add_widgets(cloudwatch.AlarmStatusWidget(alarms=alarms.all, width=24, height=3))
    page.add_widgets(*_service_row(balancer, services))
    page.add_widgets(*_provider_row())
    page.add_widgets(*_history_row(data))


def _service_row(
    balancer: Balancer, services: list[ecs.FargateService]
) -> list[cloudwatch.IWidget]:
    requests = balancer.balancer.metrics.request_count(statistic="Sum", period=_MINUTE)
    return [
        _graph(
            "Requests a minute, and 5xx in percent",
            requests,
            right=[server_errors(balancer.balancer)],
        ),
        _graph(
            "Chats in flight on a task",
            own("ChatsInFlight", "Average"),
            own("ChatsInFlight", "Maximum"),
        ),
        _graph(
            "CPU in percent, and tasks",
            *(service.metric_cpu_utilization(period=_MINUTE) for service in services),
            right=[running_tasks(name) for name in ("api", "worker")],
        ),
    ]


def _provider_row() -> list[cloudwatch.IWidget]:
    return [
        _graph("Calls by outcome", _search("Attempts", "Sum")),
        _graph("Duration of a call, p95", _search("AttemptSeconds", "p95")),
        _graph("Failed calls", own("FailedAttempts"), own("AllAttempts")),
    ]


def _history_row(data: DataStack) -> list[cloudwatch.IWidget]:
    queue, dead = data.queue, data.dead_letters
    return [
        _graph(
            "Messages in the queue, and their age",
            queue.metric_approximate_number_of_messages_visible(period=_MINUTE),
            right=[queue.metric_approximate_age_of_oldest_message(period=_MINUTE)],
        ),
        _graph("Dead letters", dead.metric_approximate_number_of_messages_visible(period=_MINUTE)),
        _graph(
            "Writes to the table, and throttled ones",
            data.table.metric_consumed_write_capacity_units(period=_MINUTE),
            right=[throttled_writes(data.table)],
        ),
    ]


def _search(metric: str, statistic: str) -> cloudwatch.IMetric:
    wanted = (
        f'{{{NAMESPACE},service,provider,model,outcome}} MetricName="{metric}" service="{SERVICE}"'
    )
    return cloudwatch.MathExpression(
        expression=f"SEARCH('{wanted}', '{statistic}')", period=_MINUTE, using_metrics={}, label=""
    )


def _graph(
    title: str, *left: cloudwatch.IMetric, right: list[cloudwatch.IMetric] | None = None
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(left), right=right or [], width=_WIDTH)
