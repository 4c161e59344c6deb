"""The metrics of alarms, scaling and the dashboard: AWS's own, and those that the service writes into its log."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_sqs as sqs

from stacks.parameters import PREFIX

NAMESPACE = "RtGenAi"
SERVICE = "rt-genai"
GATEWAY_ERRORS = "GatewayErrors"
"""Counted in the gateway's own log."""
STOPS = f"{PREFIX}-stops"
"""EventBridge's rule for tasks that end unexpectedly."""

_MINUTE = Duration.minutes(1)


def own(name: str, statistic: str = "Sum", **dimensions: str) -> cloudwatch.Metric:
    """Return a metric of the service, over all tasks and the given dimensions."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map={"service": SERVICE, **dimensions},
        statistic=statistic,
        period=_MINUTE,
    )


def running_tasks(service: str) -> cloudwatch.Metric:
    """Return how many tasks of a service run."""
    return cloudwatch.Metric(
        namespace="ECS/ContainerInsights",
        metric_name="RunningTaskCount",
        dimensions_map={"ClusterName": PREFIX, "ServiceName": service},
        statistic="Minimum",
        period=_MINUTE,
    )


def healthy_tasks(targets: elb.ApplicationTargetGroup) -> cloudwatch.IMetric:
    """Return the number of healthy tasks of the API."""
    return targets.metrics.healthy_host_count(statistic="Minimum", period=_MINUTE)


def tasks_that_ended() -> cloudwatch.Metric:
    """Return the number of tasks that ended without being stopped."""
    return cloudwatch.Metric(
        namespace="AWS/Events",
        metric_name="Invocations",
        dimensions_map={"RuleName": STOPS},
        statistic="Sum",
        period=_MINUTE,
    )


def waiting(queue: sqs.IQueue) -> cloudwatch.Metric:
    """Return how many messages can be received."""
    return queue.metric_approximate_number_of_messages_visible(statistic="Maximum", period=_MINUTE)


def waiting_seconds(queue: sqs.IQueue) -> cloudwatch.Metric:
    """Return the age of the oldest message."""
    return queue.metric_approximate_age_of_oldest_message(statistic="Maximum", period=_MINUTE)


def share(part: cloudwatch.IMetric, whole: cloudwatch.IMetric, least: int) -> cloudwatch.IMetric:
    """Return part / whole in percent; 0 below `least` of the whole, where a share says nothing."""
    return cloudwatch.MathExpression(
        expression=f"IF(whole >= {least}, 100 * FILL(part, 0) / whole, 0)",
        using_metrics={"part": part, "whole": whole},
        period=_MINUTE,
        label="%",
    )


def throttled_writes(table: dynamodb.Table) -> cloudwatch.Metric:
    """Return the number of throttled writes; `ThrottledRequests` exists only per operation."""
    return table.metric("WriteThrottleEvents", statistic="Sum", period=_MINUTE)


def server_errors(balancer: elb.ApplicationLoadBalancer) -> cloudwatch.IMetric:
    """Return the share of requests that tasks answered with a 5xx, in percent."""
    return share(
        balancer.metrics.http_code_target(
            elb.HttpCodeTarget.TARGET_5XX_COUNT, statistic="Sum", period=_MINUTE
        ),
        balancer.metrics.request_count(statistic="Sum", period=_MINUTE),
        20,
    )


def gateway_errors() -> cloudwatch.Metric:
    """Return how many requests the gateway answered with a 5xx that no task sent."""
    return cloudwatch.Metric(
        namespace=NAMESPACE, metric_name=GATEWAY_ERRORS, statistic="Sum", period=_MINUTE
    )
