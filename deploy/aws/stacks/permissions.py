"""IAM permissions of the tasks: named actions on one resource each."""

from collections.abc import Sequence

from aws_cdk import aws_iam as iam

from stacks.bedrock import Guardrail, model_arns, profile_arn
from stacks.data import ATTACHMENT_PREFIXES, INDEXES, DataStack

_READ_AND_WRITE = (
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:GetItem",
    "dynamodb:PartiQLInsert",  # only a batch of statements does not overwrite existing items
    "dynamodb:PutItem",
    "dynamodb:Query",
)
_CLAIM_AND_ERASE = ("dynamodb:DeleteItem", "dynamodb:UpdateItem")
_ATTACHMENTS = ("s3:DeleteObject", "s3:GetObject", "s3:PutObject")
_CALL_MODEL = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
_SEND = ("sqs:GetQueueAttributes", "sqs:SendMessage")
_RECEIVE = (
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
)


def api_permissions(
    data: DataStack, bedrock_models: Sequence[str], guardrail: Guardrail | None
) -> list[iam.PolicyStatement]:
    """Read, write and erase history and attachments; send to the queue; call the models of Bedrock under a guardrail."""
    allowed = [] if guardrail is None else [_guardrail_permission(data, guardrail)]
    return [
        _allow([*_READ_AND_WRITE, *_CLAIM_AND_ERASE], data.table.table_arn),
        _allow(["dynamodb:Query"], *(f"{data.table.table_arn}/index/{name}" for name in INDEXES)),
        *_attachment_permissions(data),
        _allow(_SEND, data.queue.queue_arn),
        *(statement for model in bedrock_models for statement in _model_permissions(data, model)),
        *allowed,
    ]


def worker_permissions(data: DataStack) -> list[iam.PolicyStatement]:
    """Permissions to move messages from the queue to the table, and to and from the dead letters."""
    return [
        _allow(_READ_AND_WRITE, data.table.table_arn),
        _allow([*_RECEIVE, "sqs:SendMessage"], data.queue.queue_arn),
        _allow([*_RECEIVE, "sqs:SendMessage"], data.dead_letters.queue_arn),
    ]


def _model_permissions(data: DataStack, model: str) -> list[iam.PolicyStatement]:
    """Call one model; the model behind an inference profile only through this profile."""
    profile = profile_arn(model, partition=data.partition, region=data.region, account=data.account)
    models = model_arns(model, partition=data.partition, region=data.region)
    if profile is None:
        return [_allow(_CALL_MODEL, *models)]
    through_profile = iam.PolicyStatement(
        actions=list(_CALL_MODEL),
        resources=models,
        conditions={"StringEquals": {"bedrock:InferenceProfileArn": profile}},
    )
    return [_allow(_CALL_MODEL, profile), through_profile]


def _guardrail_permission(data: DataStack, guardrail: Guardrail) -> iam.PolicyStatement:
    arn = guardrail.arn(partition=data.partition, region=data.region, account=data.account)
    return _allow(["bedrock:ApplyGuardrail"], arn)


def _attachment_permissions(data: DataStack) -> list[iam.PolicyStatement]:
    bucket_arn = data.attachments.bucket_arn
    prefixes = [f"{prefix}*" for prefix in ATTACHMENT_PREFIXES]
    return [
        _allow(_ATTACHMENTS, *(f"{bucket_arn}/{prefix}" for prefix in prefixes)),
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[bucket_arn],
            conditions={"StringLike": {"s3:prefix": prefixes}},
        ),
    ]


def _allow(actions: Sequence[str], *resources: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=list(actions), resources=list(resources))
