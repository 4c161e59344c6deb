"""Settings of the stores, the queue and the outbox."""

from typing import Literal

from pydantic import Field, SecretStr

from infra.settings.group import CENTURY_DAYS, Count, CountOrZero, PositiveSeconds, Seconds
from infra.settings.process import ProcessSettings


class HistorySettings(ProcessSettings):
    """Where interactions are stored, and how long."""

    title = "History"

    mongo_uri: SecretStr | None = Field(
        default=None,
        description="Stores history in MongoDB (a replica set) instead of the embedded store.",
    )
    mongo_db: str = Field(default="rt_genai", description="Name of the MongoDB database.")
    dynamodb_table: str | None = Field(
        default=None,
        description="Stores history in this DynamoDB table instead of the embedded store.",
    )
    attachments_bucket: str | None = Field(
        default=None,
        description="Stores attachments in this S3 bucket, with DYNAMODB_TABLE; if not set, they are refused.",
    )
    sqs_queue_url: str | None = Field(
        default=None,
        description="Sends interactions through this SQS queue; `python main.py worker` writes them to the store.",
    )
    sqs_dlq_url: str | None = Field(
        default=None,
        description="Queue for messages that can never be stored; if not set, SQS_QUEUE_URL with `-dlq` appended.",
    )
    aws_region: str | None = Field(
        default=None,
        description="Region of the table, the queues and the bucket; if not set, from the shared AWS files.",
    )
    aws_endpoint_url: str | None = Field(
        default=None,
        description="DynamoDB address other than the region's own: a VPC endpoint, or an emulator.",
    )
    aws_emulator: bool = Field(
        default=False,
        description="AWS_ENDPOINT_URL is an emulator: no region or credentials are needed, and the table, the queues and the bucket are created there.",
    )
    aws_access_key_id: str | None = Field(
        default=None,
        description="Access key, for Bedrock too; if not set, the role of the task or machine, or the shared AWS files.",
    )
    aws_secret_access_key: SecretStr | None = Field(
        default=None, description="Secret of AWS_ACCESS_KEY_ID."
    )
    aws_session_token: SecretStr | None = Field(
        default=None, description="Session token of a temporary AWS_ACCESS_KEY_ID."
    )
    outbox_enabled: bool = Field(
        default=True,
        description="Stores interactions on this disk until the store has them; `false` if the disk ends with the process.",
    )
    outbox_keep_delivered_seconds: Seconds = Field(
        default=3600.0,
        description="Time for which delivered interactions stay readable in the outbox.",
    )
    outbox_max_rows: Count = Field(
        default=500_000, description="With this many undelivered interactions, new chats get 503."
    )
    outbox_max_bytes: Count = Field(
        default=1024 * 1024 * 1024,
        description="With undelivered interactions of this size, new chats get 503.",
    )
    history_hosts: Literal["one", "many"] = Field(
        default="many",
        description="`one`: no other host writes to the store, so that conversations begun here continue while it is unavailable.",
    )
    history_mode: Literal["strict", "best_effort"] = Field(
        default="strict",
        description="`best_effort` also answers if the answer cannot be stored, and marks this in the answer and the log.",
    )
    history_retention_days: float | None = Field(
        default=None,
        gt=0.0,
        le=CENTURY_DAYS,
        description="Days for which an interaction is shown and stored; if not set, without limit. MongoDB and DynamoDB delete by the value at the time of writing.",
    )
    history_read_seconds: PositiveSeconds = Field(
        default=2.5, description="A history read that takes longer gets 503."
    )
    min_free_disk_bytes: CountOrZero = Field(
        default=64 * 1024 * 1024, description="With less free disk space, new chats get 503."
    )
    interrupted_grace_seconds: Seconds = Field(
        default=30.0,
        description="Time after its deadline at which a request of a dead process is recorded as interrupted.",
    )
