"""The synthesised data stack, deployed to an emulator: the table and the queues that tests of DynamoDB and SQS run on."""

import functools
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.session import Session

from infra.history.sqs.queue_setup import SqsNames
from tests.support.aws_emulator import AwsEmulator

TEMPLATE = Path(__file__).parents[2] / "deploy" / "aws" / "tests" / "rt-data.template.json"
"""What the CDK made of `deploy/aws`: `make deploy-test` holds it against what it makes today."""

_OF_ITS_NAMES = ('"rt-', '"rt/', '"/rt/')


@dataclass(frozen=True, slots=True)
class DataStack:
    """What one deployment made, for whoever uses it alone."""

    emulator: AwsEmulator
    table: str
    queues: SqsNames
    bucket: str

    @property
    def settings(self) -> dict[str, str]:
        """Return the settings of a service that uses all of it."""
        return {
            "AWS_ENDPOINT_URL": self.emulator.url,
            "AWS_EMULATOR": "true",
            "DYNAMODB_TABLE": self.table,
            "ATTACHMENTS_BUCKET": self.bucket,
            "SQS_QUEUE_URL": self.queues.queue_url,
            "SQS_DLQ_URL": self.queues.dead_letter_url,
        }


def deploy_data_stack(emulator: AwsEmulator) -> DataStack:
    """Deploy the stack under names that nobody else has; it takes milliseconds, and stays until the emulator ends."""
    prefix = f"t{secrets.token_hex(6)}"
    text = TEMPLATE.read_text(encoding="utf-8")
    for start in _OF_ITS_NAMES:
        text = text.replace(start, start.replace("rt", prefix))
    template = json.loads(text)
    deploy(emulator, f"{prefix}-data", template)
    return DataStack(
        emulator=emulator,
        table=f"{prefix}-history",
        queues=SqsNames.from_urls(emulator.queue_url(f"{prefix}-interactions"), None),
        bucket=bucket_of(emulator, f"{prefix}-data", template),
    )


def bucket_of(emulator: AwsEmulator, stack: str, template: dict[str, Any]) -> str:
    """Return the name of a deployed stack's only bucket."""
    (logical_id,) = [
        name
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::S3::Bucket"
    ]
    described = client_of(emulator, "cloudformation").describe_stack_resource(
        StackName=stack, LogicalResourceId=logical_id
    )
    return str(described["StackResourceDetail"]["PhysicalResourceId"])


def deploy(emulator: AwsEmulator, name: str, template: dict[str, Any]) -> None:
    """Create a stack and return once it is there."""
    clouds = client_of(emulator, "cloudformation")
    clouds.create_stack(StackName=name, TemplateBody=json.dumps(template))
    clouds.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 0.01})
    for resource in template["Resources"].values():
        _complete(emulator, resource["Type"], resource.get("Properties", {}), template)


def _complete(
    emulator: AwsEmulator, kind: str, properties: dict[str, Any], template: dict[str, Any]
) -> None:
    """Do what the template says and the emulator's CloudFormation leaves out: the expiry, and the way to the dead letters."""
    if kind == "AWS::DynamoDB::Table":
        client_of(emulator, "dynamodb").update_time_to_live(
            TableName=properties["TableName"],
            TimeToLiveSpecification=properties["TimeToLiveSpecification"],
        )
    if kind == "AWS::SQS::Queue" and "RedrivePolicy" in properties:
        policy = properties["RedrivePolicy"]
        dead_letters, _arn = policy["deadLetterTargetArn"]["Fn::GetAtt"]
        name = template["Resources"][dead_letters]["Properties"]["QueueName"]
        target = f"arn:aws:sqs:us-east-1:000000000000:{name}"
        client_of(emulator, "sqs").set_queue_attributes(
            QueueUrl=emulator.queue_url(properties["QueueName"]),
            Attributes={"RedrivePolicy": json.dumps({**policy, "deadLetterTargetArn": target})},
        )


@functools.cache
def client_of(emulator: AwsEmulator, service: str) -> Any:
    """Return a client as an operator's tools have one."""
    return _session().create_client(
        service,
        region_name="us-east-1",
        endpoint_url=emulator.url,
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",
    )


@functools.cache
def _session() -> Session:
    """Return one for all clients: each reads the descriptions of all services anew."""
    return Session()
