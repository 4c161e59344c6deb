"""What is kept: it is safe from accidents, and as the service expects it."""

import json
from pathlib import Path

import pytest
from aws_cdk.assertions import Match, Template

from tests.conftest import Synthesis
from tests.templates import of_type, read

DAY_SECONDS = 24 * 3600


@pytest.fixture(scope="module")
def template(synthesised: Synthesis) -> Template:
    return Template.from_json(read(synthesised("small"), "rt-data"))


def test_the_table_can_be_restored_and_not_be_deleted(template: Template) -> None:
    template.has_resource(
        "AWS::DynamoDB::Table",
        {
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "DeletionProtectionEnabled": True,
                "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
                "TimeToLiveSpecification": {"AttributeName": "expiresAt", "Enabled": True},
                "SSESpecification": {"SSEEnabled": True},
            },
        },
    )


def test_what_cannot_be_stored_waits_longer_than_it_was_queued(template: Template) -> None:
    template.has_resource_properties(
        "AWS::SQS::Queue",
        {
            "QueueName": "rt-interactions",
            "MessageRetentionPeriod": 4 * DAY_SECONDS,
            "MaximumMessageSize": 1024 * 1024,
            "VisibilityTimeout": 60,
            "RedrivePolicy": Match.object_like({"maxReceiveCount": 10}),
        },
    )
    template.has_resource_properties(
        "AWS::SQS::Queue",
        {
            "QueueName": "rt-interactions-dlq",
            "MessageRetentionPeriod": 14 * DAY_SECONDS,
            "MaximumMessageSize": 1024 * 1024,
        },
    )


def test_the_services_own_tests_run_on_this_table_and_these_queues(
    synthesised: Synthesis,
) -> None:
    """They deploy the template that stands beside this file, so that they need no CDK; after a change, put the new one there."""
    kept = json.loads((Path(__file__).parent / "rt-data.template.json").read_text(encoding="utf-8"))
    assert kept == read(synthesised("small"), "rt-data"), (
        "cp deploy/aws/cdk.out/tests/rt-data.template.json deploy/aws/tests/"
    )


def test_queues_are_reached_by_tls_alone(template: Template) -> None:
    template.resource_properties_count_is(
        "AWS::SQS::QueuePolicy",
        Match.object_like(
            {
                "PolicyDocument": Match.object_like(
                    {
                        "Statement": [
                            Match.object_like(
                                {
                                    "Effect": "Deny",
                                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                                }
                            )
                        ]
                    }
                )
            }
        ),
        2,
    )


def test_attachments_are_private_encrypted_and_outlive_their_stack(template: Template) -> None:
    template.has_resource(
        "AWS::S3::Bucket",
        {
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True,
                    "BlockPublicPolicy": True,
                    "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True,
                },
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [
                        {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
                    ]
                },
                "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                # an erased attachment is gone at once
                "VersioningConfiguration": Match.absent(),
            },
        },
    )


def test_attachments_expire_only_where_an_erasure_was_interrupted(template: Template) -> None:
    template.has_resource_properties(
        "AWS::S3::Bucket",
        {
            "LifecycleConfiguration": {
                "Rules": [
                    Match.object_equals(
                        {
                            "Id": "IncompleteUploads",
                            "Status": "Enabled",
                            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                        }
                    ),
                    Match.object_equals(
                        {
                            "Id": "InterruptedErasures",
                            "Status": "Enabled",
                            "Prefix": "erasing/",
                            "ExpirationInDays": 7,
                        }
                    ),
                ]
            }
        },
    )


def test_attachments_are_reached_by_tls_alone(template: Template) -> None:
    template.has_resource_properties(
        "AWS::S3::BucketPolicy",
        {
            "PolicyDocument": Match.object_like(
                {
                    "Statement": Match.array_with(
                        [
                            Match.object_like(
                                {
                                    "Effect": "Deny",
                                    "Action": "s3:*",
                                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                                }
                            )
                        ]
                    )
                }
            )
        },
    )


def test_no_secret_stands_in_the_template(synthesised: Synthesis) -> None:
    secrets = of_type(read(synthesised("small"), "rt-data"), "AWS::SecretsManager::Secret")
    values = {secret["Name"]: secret.get("SecretString") for secret in secrets}
    assert values == {
        "rt/providers": '{"GEMINI_API_KEY": "", "OPENAI_API_KEY": "", "OPENROUTER_API_KEY": ""}',
        "rt/api-keys": "# no key has been made yet",
        "rt/cursor-secret": None,
    }


def test_everything_is_gone_with_its_stack_where_that_was_asked_for(synthesised: Synthesis) -> None:
    template = read(synthesised("thrown away"), "rt-data")
    kept = [
        name
        for name, resource in template["Resources"].items()
        if resource.get("DeletionPolicy") == "Retain"
    ]
    assert kept == []
    (table,) = of_type(template, "AWS::DynamoDB::Table")
    assert table["DeletionProtectionEnabled"] is False
