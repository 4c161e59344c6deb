"""Reaching AWS: what is set, what is found, and what is not there yet."""

from pathlib import Path

import pytest
from botocore.exceptions import NoCredentialsError

from infra.configuration import ConfigurationError
from infra.history.aws_access import AwsAccess
from infra.history.aws_client import open_client
from tests.aws_emulator import shared_emulator

VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A host that knows nothing of AWS."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.mark.usefixtures("bare")
async def test_without_a_region_the_operator_is_told() -> None:
    with pytest.raises(ConfigurationError, match="AWS_REGION"):
        async with open_client("sqs", AwsAccess(access_key_id="a", secret_access_key="b"), tries=1):
            raise AssertionError("opened")


@pytest.mark.usefixtures("bare")
async def test_an_endpoint_that_is_no_url_is_told_to_the_operator() -> None:
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL"):
        async with open_client(
            "sqs", AwsAccess(endpoint_url="emulator", is_emulator=True), tries=1
        ):
            raise AssertionError("opened")


@pytest.mark.usefixtures("bare")
async def test_an_emulator_needs_neither_region_nor_credentials() -> None:
    access = AwsAccess(endpoint_url=shared_emulator().url, is_emulator=True)
    async with open_client("sqs", access, tries=1) as sqs:
        await sqs("list_queues")


async def test_credentials_that_come_later_are_found(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("AWS_ENDPOINT_URL_SQS", shared_emulator().url)
    async with open_client("sqs", AwsAccess(region="eu-west-1"), tries=1) as sqs:
        with pytest.raises(NoCredentialsError):
            await sqs("list_queues")
        bare.setenv("AWS_ACCESS_KEY_ID", "a")
        bare.setenv("AWS_SECRET_ACCESS_KEY", "b")
        await sqs("list_queues")


async def test_what_is_set_wins_over_what_is_found(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("AWS_ACCESS_KEY_ID", "found")
    bare.setenv("AWS_SECRET_ACCESS_KEY", "found")
    access = AwsAccess(
        region="eu-west-1",
        endpoint_url=shared_emulator().url,
        access_key_id="123456789012",
        secret_access_key="set",
    )
    async with open_client("sqs", access, tries=1) as sqs:
        made = await sqs("create_queue", QueueName="mine")

    assert "/123456789012/" in made["QueueUrl"], "the emulator names the account after the key"


def test_secrets_are_not_shown() -> None:
    shown = repr(AwsAccess(secret_access_key="hush", session_token="hush"))
    assert "hush" not in shown
