"""Scaling of the number of tasks."""

from aws_cdk import Duration
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_sqs as sqs

from stacks.metrics import own
from stacks.parameters import Size

_OUT = Duration.seconds(60)
_IN = Duration.minutes(5)
_CPU_PERCENT = 60
_MEMORY_PERCENT = 70
_MESSAGES_PER_STEP = 1_000
_OLD_SECONDS = 60


def scale_api(service: ecs.FargateService, targets: elb.ApplicationTargetGroup, size: Size) -> None:
    """Add tasks by CPU, memory, requests, or chats in flight: long streams are few requests but much work."""
    count = service.auto_scale_task_count(min_capacity=size.api_least, max_capacity=size.api_most)
    count.scale_on_cpu_utilization(
        "Cpu",
        target_utilization_percent=_CPU_PERCENT,
        scale_out_cooldown=_OUT,
        scale_in_cooldown=_IN,
    )
    count.scale_on_memory_utilization(
        "Memory",
        target_utilization_percent=_MEMORY_PERCENT,
        scale_out_cooldown=_OUT,
        scale_in_cooldown=_IN,
    )
    count.scale_on_request_count(
        "Requests",
        requests_per_target=size.requests_per_task_minute,
        target_group=targets,
        scale_out_cooldown=_OUT,
        scale_in_cooldown=_IN,
    )
    count.scale_to_track_custom_metric(
        "Chats",
        metric=own("ChatsInFlight", "Average"),
        target_value=size.chats_per_task,
        scale_out_cooldown=_OUT,
        scale_in_cooldown=_IN,
    )


def scale_worker(service: ecs.FargateService, queue: sqs.Queue, size: Size) -> None:
    """Scale by the length of the queue and the age of its oldest message."""
    count = service.auto_scale_task_count(
        min_capacity=size.worker_least, max_capacity=size.worker_most
    )
    count.scale_on_metric(
        "Depth",
        metric=queue.metric_approximate_number_of_messages_visible(
            statistic="Maximum", period=Duration.minutes(1)
        ),
        adjustment_type=scaling.AdjustmentType.CHANGE_IN_CAPACITY,
        scaling_steps=[
            scaling.ScalingInterval(upper=10, change=-1),
            scaling.ScalingInterval(lower=_MESSAGES_PER_STEP, change=1),
            scaling.ScalingInterval(lower=10 * _MESSAGES_PER_STEP, change=4),
        ],
        cooldown=_OUT,
    )
    count.scale_on_metric(
        "Age",
        metric=queue.metric_approximate_age_of_oldest_message(
            statistic="Maximum", period=Duration.minutes(1)
        ),
        adjustment_type=scaling.AdjustmentType.CHANGE_IN_CAPACITY,
        scaling_steps=[
            scaling.ScalingInterval(upper=5, change=-1),
            scaling.ScalingInterval(lower=_OLD_SECONDS, change=1),
            scaling.ScalingInterval(lower=10 * _OLD_SECONDS, change=3),
        ],
        cooldown=_OUT,
    )
