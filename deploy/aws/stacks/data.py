"""rt-data: the stored data, which outlives deployments of the service."""

import json

from aws_cdk import Duration, RemovalPolicy, SecretValue, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.parameters import PREFIX, PROVIDER_KEYS, Parameters

_TABLE = f"{PREFIX}-history"
_TEXT = dynamodb.AttributeType.STRING
_FILTERED = ["status", "answered", "provider"]
INDEXES = {
    "byModel": ("userModel", _FILTERED),
    "byConversation": ("userConversation", [*_FILTERED, "model"]),
    "byTurn": ("turnOf", ["userConversation"]),
    "byStatus": (
        "status",
        [
            "model",
            "credential",
            "inputTokens",
            "outputTokens",
            "reasoningTokens",
            "cachedInputTokens",
            "cacheWriteTokens",
            "costUsd",
            "hasUsage",
        ],
    ),
}
"""Keys and filtered attributes of each index; the same as the service creates on an emulator."""

ATTACHMENT_PREFIXES = ("contents/", "erasing/", "references/")
"""Keys of the service's objects in the bucket of attachments."""

_LOG_GROUPS = ("api", "worker", "gateway")


class DataStack(Stack):
    """The table, the queues, the secrets, the logs and the image's repository.

    Attributes:
        table: Interactions, claims of idempotency keys and tombstones.
        attachments: Contents of attachments and long texts, and the references to them.
        queue: From the API to the worker.
        dead_letters: Messages that could not be stored.
        provider_keys: A JSON object of the providers' keys, by the names of the service's settings; None if no
            provider has a key.
        api_keys: The callers' keys as hash lines.
        cursor_secret: Signs cursors; made once.
        log_groups: By `api`, `worker` and `gateway`.
    """

    def __init__(self, scope: Construct, stack_id: str, parameters: Parameters) -> None:
        super().__init__(scope, stack_id, description="History of rt-genai: table, queues, secrets")
        self._kept = RemovalPolicy.RETAIN if parameters.is_protected else RemovalPolicy.DESTROY
        self.table = self._make_table(is_protected=parameters.is_protected)
        self.attachments = self._make_bucket()
        self.dead_letters = self._make_dead_letters()
        self.queue = self._make_queue()
        self.provider_keys = self._make_provider_keys() if parameters.providers else None
        self.api_keys = self._make_secret("ApiKeys", "api-keys", "# no key has been made yet")
        self.cursor_secret = secretsmanager.Secret(
            self,
            "CursorSecret",
            secret_name=f"{PREFIX}/cursor-secret",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=64, exclude_punctuation=True
            ),
            removal_policy=self._kept,
        )
        self.log_groups = {name: self._make_log_group(name) for name in _LOG_GROUPS}
        ecr.Repository(
            self,
            "Image",
            repository_name=f"{PREFIX}-genai",
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            lifecycle_rules=[ecr.LifecycleRule(max_image_count=20)],
            removal_policy=self._kept,
            empty_on_delete=not parameters.is_protected,
        )

    def _make_table(self, *, is_protected: bool) -> dynamodb.Table:
        table = dynamodb.Table(
            self,
            "History",
            table_name=_TABLE,
            partition_key=dynamodb.Attribute(name="pk", type=_TEXT),
            sort_key=dynamodb.Attribute(name="sk", type=_TEXT),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            time_to_live_attribute="expiresAt",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=is_protected,
            removal_policy=self._kept,
        )
        for name, (attribute, filtered) in INDEXES.items():
            table.add_global_secondary_index(
                index_name=name,
                partition_key=dynamodb.Attribute(name=attribute, type=_TEXT),
                sort_key=dynamodb.Attribute(name="sk", type=_TEXT),
                projection_type=dynamodb.ProjectionType.INCLUDE,
                non_key_attributes=filtered,
            )
        return table

    def _make_bucket(self) -> s3.Bucket:
        """Create the bucket, named by CloudFormation: names of buckets are shared by all accounts.

        It has no versions, since an erased attachment must be gone.
        """
        return s3.Bucket(
            self,
            "Attachments",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            removal_policy=self._kept,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="IncompleteUploads", abort_incomplete_multipart_upload_after=Duration.days(1)
                ),
                # The service removes these within hours; only a service that no longer runs leaves them.
                s3.LifecycleRule(
                    id="InterruptedErasures", prefix="erasing/", expiration=Duration.days(7)
                ),
            ],
        )

    def _make_dead_letters(self) -> sqs.Queue:
        return sqs.Queue(
            self,
            "DeadLetters",
            queue_name=f"{PREFIX}-interactions-dlq",
            retention_period=Duration.days(14),
            visibility_timeout=Duration.seconds(60),
            max_message_size_bytes=1024 * 1024,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            removal_policy=self._kept,
        )

    def _make_queue(self) -> sqs.Queue:
        return sqs.Queue(
            self,
            "Queue",
            queue_name=f"{PREFIX}-interactions",
            retention_period=Duration.days(4),
            visibility_timeout=Duration.seconds(60),
            receive_message_wait_time=Duration.seconds(20),
            max_message_size_bytes=1024 * 1024,
            dead_letter_queue=sqs.DeadLetterQueue(max_receive_count=10, queue=self.dead_letters),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            removal_policy=self._kept,
        )

    def _make_provider_keys(self) -> secretsmanager.Secret:
        return self._make_secret(
            "ProviderKeys", "providers", json.dumps(dict.fromkeys(sorted(PROVIDER_KEYS), ""))
        )

    def _make_secret(self, construct_id: str, name: str, empty: str) -> secretsmanager.Secret:
        """Create a secret that an operator fills; later deployments do not change its value."""
        return secretsmanager.Secret(
            self,
            construct_id,
            secret_name=f"{PREFIX}/{name}",
            secret_string_value=SecretValue.unsafe_plain_text(empty),
            removal_policy=self._kept,
        )

    def _make_log_group(self, name: str) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            f"{name.capitalize()}Logs",
            log_group_name=f"/{PREFIX}/{name}",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=self._kept,
        )
