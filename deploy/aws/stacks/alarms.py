"""Alarms and the topic they notify; their conditions are in `stacks.rules`."""

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from stacks.balancer import Balancer
from stacks.data import DataStack
from stacks.metrics import STOPS
from stacks.parameters import PREFIX
from stacks.rules import Rule, rules

_SENDERS = ("cloudwatch.amazonaws.com", "events.amazonaws.com")


class Alarms(Construct):
    """One alarm per rule, and a notification for each task that ended unexpectedly, all to one topic.

    Attributes:
        all: In the order of the rules.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        data: DataStack,
        balancer: Balancer,
        cluster: ecs.ICluster,
        email: str | None,
    ) -> None:
        super().__init__(scope, construct_id)
        topic = self._make_topic()
        if email is not None:
            topic.add_subscription(subscriptions.EmailSubscription(email))
        self._tell_of_stops(cluster, topic)
        self.all = [self._make(rule, topic) for rule in rules(data, balancer)]

    def _make_topic(self) -> sns.Topic:
        senders = [iam.ServicePrincipal(name) for name in _SENDERS]
        key = kms.Key(self, "Key", enable_key_rotation=True, description="Alarms of rt-genai")
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=senders,
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],  # within a key's own policy that is this key
            )
        )
        topic = sns.Topic(
            self, "Topic", topic_name=f"{PREFIX}-alarms", master_key=key, enforce_ssl=True
        )
        # a topic with a policy of its own has lost the one that let the account's alarms in
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=senders, actions=["sns:Publish"], resources=[topic.topic_arn]
            )
        )
        return topic

    def _tell_of_stops(self, cluster: ecs.ICluster, topic: sns.Topic) -> None:
        """Notify of tasks whose process ended; tasks that ECS stops for a deployment or scaling have another stop code."""
        events.CfnRule(
            self,
            "Stops",
            name=STOPS,
            event_pattern={
                "source": ["aws.ecs"],
                "detail-type": ["ECS Task State Change"],
                "detail": {
                    "clusterArn": [cluster.cluster_arn],
                    "lastStatus": ["STOPPED"],
                    "stopCode": ["EssentialContainerExited"],
                },
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="Topic",
                    arn=topic.topic_arn,
                    input_transformer=events.CfnRule.InputTransformerProperty(
                        input_paths_map={
                            "service": "$.detail.group",
                            "reason": "$.detail.stoppedReason",
                        },
                        input_template='"A task of <service> ended: <reason>. deploy/runbook.md, ServiceRestarts"',
                    ),
                )
            ],
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
            datapoints_to_alarm=rule.minutes,
            evaluation_periods=rule.of or rule.minutes,
            treat_missing_data=rule.missing,
        )
        alarm.add_alarm_action(actions.SnsAction(topic))
        alarm.add_ok_action(actions.SnsAction(topic))
        return alarm
