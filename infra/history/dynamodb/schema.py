"""Keys and indexes of the DynamoDB table, and its creation in an emulator."""

from typing import Any

from botocore.exceptions import ClientError

from infra.storage.aws.client import AwsClient
from infra.storage.aws.errors import code_of

BY_MODEL = "byModel"
BY_CONVERSATION = "byConversation"
BY_TURN = "byTurn"
BY_STATUS = "byStatus"

_FILTERED = ["status", "answered", "provider"]
_USAGE = [
    "model",
    "credential",
    "inputTokens",
    "outputTokens",
    "reasoningTokens",
    "cachedInputTokens",
    "cacheWriteTokens",
    "costUsd",
    "hasUsage",
]

TABLE: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"}
        for name in ("pk", "sk", "userModel", "userConversation", "turnOf", "status")
    ],
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": index,
            "KeySchema": [
                {"AttributeName": attribute, "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": filtered},
        }
        for index, attribute, filtered in (
            (BY_MODEL, "userModel", _FILTERED),
            (BY_CONVERSATION, "userConversation", [*_FILTERED, "model"]),
            (BY_TURN, "turnOf", ["userConversation"]),
            (BY_STATUS, "status", _USAGE),
        )
    ],
}
"""The indexes contain keys and filtered attributes but no bodies, so that writing and scanning them is cheap.
Interactions without a conversation are only in the first and the last.

The last is the only one over all users: interactions of all times, in order. Each status is one partition, and takes
1 000 writes a second."""

TIME_TO_LIVE = {"Enabled": True, "AttributeName": "expiresAt"}


async def make_table(dynamodb: AwsClient, name: str) -> None:
    """Create the table if it is missing; for emulators, which create it at once.

    Raises:
        botocore.exceptions.BotoCoreError: Not reached.
        botocore.exceptions.ClientError: Refused.
    """
    try:
        await dynamodb("create_table", TableName=name, **TABLE)
    except ClientError as exc:
        if code_of(exc) == "ResourceInUseException":
            return
        raise
    await dynamodb("update_time_to_live", TableName=name, TimeToLiveSpecification=TIME_TO_LIVE)
