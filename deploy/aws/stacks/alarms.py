"""What somebody is told of. Each alarm has a section of its name in `deploy/runbook.md`."""

from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from stacks.balancer import Balancer
from stacks.data import DataStack
from stacks.metrics import own, running_tasks, server_errors, share, throttled_writes
from stacks.network import ZONES
from stacks.parameters import PREFIX

_MINUTE = Duration.minutes(1)
_ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
_BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
_QUIET = cloudwatch.TreatMissingData.NOT_BREACHING
_DEAD = cloudwatch.TreatMissingData.BREACHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When to tell.

    Attributes:
        name: A heading of the runbook.
        says: What it means, in one sentence.
        periods: So many minutes of the last `of`.
    """

    name: str
    says: str
    metric: cloudwatch.IMetric
    limit: float
    periods: int
    of: int | None = None
    comparison: cloudwatch.ComparisonOperator = _ABOVE
    missing: cloudwatch.TreatMissingData = _QUIET


def rules(data: DataStack, balancer: Balancer) -> list[Rule]:
    """Return all of them."""
    table, queue = data.table, data.queue
    failed = own("FailedAttempts")
    return [
        Rule(
            name="ServiceErrors",
            says="More than 5 % of requests are answered with a 5xx.",
            metric=server_errors(balancer.balancer),
            limit=5,
            periods=5,
        ),
        Rule(
            name="TooFewTasks",
            says="The API has lost tasks and does not get them back.",
            metric=balancer.targets.metrics.healthy_host_count(statistic="Minimum", period=_MINUTE),
            limit=ZONES - 1,
            periods=5,
            comparison=_BELOW,
            missing=_DEAD,
        ),
        Rule(
            name="ProvidersFailing",
            says="More than half of the calls of providers fail.",
            metric=share(failed, own("AllAttempts"), 20),
            limit=50,
            periods=5,
        ),
        Rule(
            name="ProviderIsSilent",
            says="One call in twenty waits more than ten seconds for its first word.",
            metric=own("FirstChunkSeconds", "p95"),
            limit=10,
            periods=10,
        ),
        Rule(
            name="EveryRouteIsOpen",
            says="A task has no provider left to ask.",
            metric=own("UsableRoutes", "Minimum"),
            limit=1,
            periods=2,
            comparison=_BELOW,
        ),
        Rule(
            name="ProviderRefusesKey",
            says="A provider refuses our key or does not know our model.",
            metric=own("Attempts", outcome="misconfigured"),
            limit=0,
            periods=1,
        ),
        Rule(
            name="DeadLetters",
            says="Interactions could not be stored and wait for somebody to look.",
            metric=data.dead_letters.metric_approximate_number_of_messages_visible(
                statistic="Maximum", period=_MINUTE
            ),
            limit=0,
            periods=1,
        ),
        Rule(
            name="QueueIsOld",
            says="Interactions have waited for the table for more than five minutes.",
            metric=queue.metric_approximate_age_of_oldest_message(
                statistic="Maximum", period=_MINUTE
            ),
            limit=300,
            periods=3,
        ),
        Rule(
            name="QueueIsLong",
            says="More than 50 000 interactions wait for the table.",
            metric=queue.metric_approximate_number_of_messages_visible(
                statistic="Maximum", period=_MINUTE
            ),
            limit=50_000,
            periods=5,
        ),
        Rule(
            name="NoWorker",
            says="No worker runs, so nothing leaves the queue.",
            metric=running_tasks("worker"),
            limit=1,
            periods=5,
            comparison=_BELOW,
            missing=_DEAD,
        ),
        Rule(
            name="TableThrottles",
            says="DynamoDB refuses for going too fast, again and again.",
            metric=throttled_writes(table),
            limit=0,
            periods=5,
            of=10,
        ),
        Rule(
            name="GatewayErrors",
            says="The gateway itself answers with a 5xx, which the service never saw.",
            metric=cloudwatch.MathExpression(
                expression="FILL(gateway, 0) - FILL(target, 0)",
                using_metrics={
                    "gateway": cloudwatch.Metric(
                        namespace="AWS/ApiGateway",
                        metric_name="5XXError",
                        dimensions_map={"ApiName": PREFIX},
                        statistic="Sum",
                        period=_MINUTE,
                    ),
                    "target": balancer.balancer.metrics.custom(
                        "HTTPCode_Target_5XX_Count", statistic="Sum", period=_MINUTE
                    ),
                },
                period=_MINUTE,
            ),
            limit=10,
            periods=3,
        ),
        Rule(
            name="ServiceIsSlow",
            says="The service itself adds more than a quarter of a second to one chat in twenty.",
            metric=own("OverheadSeconds", "p95"),
            limit=0.25,
            periods=10,
        ),
        Rule(
            name="ChatsNotKept",
            says="Chats are answered that cannot be kept.",
            metric=own("NotKept"),
            limit=0,
            periods=1,
        ),
        Rule(
            name="ChatsShed",
            says="Chats are refused because too many are under way.",
            metric=own("ChatsInFlight", "Maximum"),
            limit=900,
            periods=3,
        ),
    ]


class Alarms(Construct):
    """One alarm a rule, all of them sent to one topic.

    Attributes:
        all: In the order of the rules.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        data: DataStack,
        balancer: Balancer,
        email: str | None,
    ) -> None:
        super().__init__(scope, construct_id)
        topic = self._make_topic()
        if email is not None:
            topic.add_subscription(subscriptions.EmailSubscription(email))
        self.all = [self._make(rule, topic) for rule in rules(data, balancer)]

    def _make_topic(self) -> sns.Topic:
        key = kms.Key(self, "Key", enable_key_rotation=True, description="Alarms of rt-genai")
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],  # within a key's own policy that is this key
            )
        )
        return sns.Topic(
            self, "Topic", topic_name=f"{PREFIX}-alarms", master_key=key, enforce_ssl=True
        )

    def _make(self, rule: Rule, topic: sns.Topic) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            rule.name,
            alarm_name=f"{PREFIX}-{rule.name}",
            alarm_description=f"{rule.says} deploy/runbook.md, {rule.name}",
            metric=rule.metric,
            threshold=rule.limit,
            comparison_operator=rule.comparison,
            datapoints_to_alarm=rule.periods,
            evaluation_periods=rule.of or rule.periods,
            treat_missing_data=rule.missing,
        )
        alarm.add_alarm_action(actions.SnsAction(topic))
        alarm.add_ok_action(actions.SnsAction(topic))
        return alarm
