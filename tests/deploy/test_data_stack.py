"""The synthesised data stack, deployed to an emulator: the service runs on that table and those queues."""

import json
import re
from pathlib import Path
from typing import Any

from infra.history.dynamodb.schema import TABLE
from infra.history.sqs import queue_setup as sqs_queues
from infra.settings import Settings
from tests.deploy.expressions import DEPLOY
from tests.support.aws_emulator import AwsEmulator
from tests.support.cloud_path import chat, ids_of, running_worker, until
from tests.support.data_stack import TEMPLATE, client_of
from tests.support.service import running_service

ROOT = DEPLOY.parent
ACTIONS = {
    # what a call needs, where it is not called the same
    "batch_execute_statement": {"dynamodb:PartiQLInsert"},
    "transact_write_items": {"dynamodb:PutItem"},
    "send_message_batch": {"sqs:SendMessage"},
    "delete_message_batch": {"sqs:DeleteMessage"},
    "change_message_visibility_batch": {"sqs:ChangeMessageVisibility"},
    "copy_object": {"s3:GetObject", "s3:PutObject"},
    "list_objects_v2": {"s3:ListBucket"},
}
VERBS = frozenset(
    [
        "get",
        "put",
        "update",
        "delete",
        "query",
        "scan",
        "batch",
        "transact",
        "send",
        "receive",
        "change",
        "create",
        "describe",
        "list",
        "copy",
    ]
)
OF_COMMANDS = {"scan"}
"""Copies of a whole store read it so; they run with the operator's own rights."""
MADE_BY_THE_STACK = {"create_bucket", "create_table", "create_queue", "update_time_to_live"}


def by_name(indexes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        index["IndexName"]: (
            index["KeySchema"],
            index["Projection"]["ProjectionType"],
            sorted(index["Projection"]["NonKeyAttributes"]),
        )
        for index in indexes
    }


def test_the_stack_that_other_tests_deploy_is_the_one_just_synthesised(
    templates: dict[str, dict[str, Any]],
) -> None:
    assert json.loads(TEMPLATE.read_text(encoding="utf-8")) == templates["rt-data"]


def test_the_deployed_table_is_the_one_the_service_would_make(aws: AwsEmulator) -> None:
    table = client_of(aws, "dynamodb").describe_table(TableName="rt-history")["Table"]
    assert table["KeySchema"] == TABLE["KeySchema"]
    assert by_name(table["GlobalSecondaryIndexes"]) == by_name(TABLE["GlobalSecondaryIndexes"])
    assert table["BillingModeSummary"]["BillingMode"] == TABLE["BillingMode"]


def test_the_deployed_queues_are_those_the_service_would_make(
    aws: AwsEmulator,
) -> None:
    sqs = client_of(aws, "sqs")
    url = sqs.get_queue_url(QueueName="rt-interactions")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert int(queue["MessageRetentionPeriod"]) == sqs_queues.KEPT_SECONDS
    assert int(queue["VisibilityTimeout"]) == sqs_queues.HOLD_SECONDS
    assert int(queue["MaximumMessageSize"]) == sqs_queues.MAX_MESSAGE_BYTES
    redrive = json.loads(queue["RedrivePolicy"])
    assert redrive["maxReceiveCount"] == sqs_queues.MAX_RECEIVES
    assert redrive["deadLetterTargetArn"].endswith(":rt-interactions-dlq")


def test_a_chat_goes_through_the_deployed_queue_into_the_deployed_table(
    aws: AwsEmulator, tmp_path: Path
) -> None:
    settings = {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_EMULATOR": "true",
        "DYNAMODB_TABLE": "rt-history",
        "SQS_QUEUE_URL": aws.queue_url("rt-interactions"),
        "SQS_DLQ_URL": aws.queue_url("rt-interactions-dlq"),
        "OUTBOX_ENABLED": "false",
    }
    with (
        running_worker(tmp_path / "worker", settings),
        running_service(tmp_path / "api", settings) as service,
        service.client() as client,
    ):
        asked = chat(client)
        until(lambda: ids_of(client) == [asked])
        assert ids_of(client, model="demo") == [asked]
    found = client_of(aws, "dynamodb").query(
        TableName="rt-history",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "U#ana"}},
    )
    assert [item["sk"]["S"] for item in found["Items"]] == [asked]


def test_tasks_get_settings_that_exist(templates: dict[str, dict[str, Any]]) -> None:
    known = {name.upper() for name in Settings.model_fields}
    for resource in templates["rt-app"]["Resources"].values():
        if resource["Type"] == "AWS::ECS::TaskDefinition":
            for container in resource["Properties"]["ContainerDefinitions"]:
                named = [*container["Environment"], *container.get("Secrets", [])]
                assert {one["Name"] for one in named} <= known


def test_the_api_may_do_what_the_service_does_and_nothing_else(
    templates: dict[str, dict[str, Any]],
) -> None:
    """What the code calls by name is what both roles together are allowed."""
    calls = (
        {
            found
            for file in [
                *(ROOT / "infra/answers/dynamodb").rglob("*.py"),
                *(ROOT / "infra/history/dynamodb").rglob("*.py"),
                *(ROOT / "infra/history/sqs").rglob("*.py"),
                *(ROOT / "infra/storage/aws").rglob("*.py"),
                *(ROOT / "infra/attachments").rglob("*.py"),
                ROOT / "infra/idempotency/dynamodb.py",
            ]
            for found in re.findall(r'"([a-z]+(?:_[a-z0-9]+)+|query|scan)"', file.read_text())
            if found.split("_")[0] in VERBS
        }
        - MADE_BY_THE_STACK
        - OF_COMMANDS
    )
    needed = set().union(*(ACTIONS.get(call, {action_of(call)}) for call in calls))
    allowed = {
        action
        for resource in templates["rt-app"]["Resources"].values()
        if resource["Type"] == "AWS::IAM::Policy"
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
        for action in actions_of(statement)
        if action.startswith(("dynamodb:", "s3:", "sqs:"))
    }
    assert allowed == needed


def action_of(call: str) -> str:
    name = "".join(word.capitalize() for word in call.split("_"))
    service = "sqs" if "message" in call or "queue" in call else "dynamodb"
    return f"{'s3' if 'object' in call else service}:{name}"


def actions_of(statement: dict[str, Any]) -> list[str]:
    allowed = statement["Action"]
    return allowed if isinstance(allowed, list) else [allowed]
