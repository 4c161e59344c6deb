"""Reaching AWS: what is set, what is found, and what is not there yet."""

import shutil
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.loaders import JSONFileLoader

from infra.configuration import ConfigurationError
from infra.history.sqs.queue_setup import SqsNames
from infra.settings import Settings
from infra.storage.aws.access import AwsAccess, warn_of_plain_endpoint
from infra.storage.aws.client import open_client
from tests.support.aws_emulator import shared_emulator

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


@pytest.mark.seen("D4")
@pytest.mark.usefixtures("bare")
async def test_without_a_region_an_endpoint_that_may_be_an_emulator_is_told_how_to_say_so() -> None:
    access = AwsAccess(endpoint_url=shared_emulator().url)
    with pytest.raises(ConfigurationError, match="AWS_EMULATOR=true"):
        async with open_client("sqs", access, tries=1):
            raise AssertionError("opened")


@pytest.mark.seen("D4")
@pytest.mark.parametrize(
    "endpoint",
    [
        "https://vpce-0a1b2c3d.dynamodb.eu-west-1.vpce.amazonaws.com",
        "https://localhost:4566",
        "http://127.0.0.1:4566",
        "http://emulator:4566",
    ],
)
def test_no_endpoint_is_taken_for_an_emulator_unless_the_setting_says_so(
    bare: pytest.MonkeyPatch, endpoint: str
) -> None:
    bare.delenv("AWS_EMULATOR", raising=False)
    given = {"aws_endpoint_url": endpoint, "aws_region": "eu-west-1", "dynamodb_table": "t"}
    access = AwsAccess.from_settings(Settings(_env_file=None, **given))
    assert not access.is_emulator
    assert access.client_arguments() == {
        "region_name": "eu-west-1",
        "endpoint_url": endpoint,
        "aws_access_key_id": None,
        "aws_secret_access_key": None,
        "aws_session_token": None,
    }
    emulated = AwsAccess.from_settings(Settings(_env_file=None, aws_emulator=True, **given))
    assert emulated.is_emulator
    assert emulated.client_arguments()["aws_access_key_id"] is not None


@pytest.mark.seen("D4")
@pytest.mark.parametrize("is_emulator", [False, True])
def test_queues_are_reached_where_their_url_says_whatever_the_tables_endpoint(
    is_emulator: bool,
) -> None:
    names = SqsNames.from_urls("https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com/1/q", None)
    access = AwsAccess(endpoint_url="https://vpce-2.dynamodb.aws", is_emulator=is_emulator)
    reached = names.reached_by(access)
    assert reached.endpoint_url == "https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com"
    assert reached.is_emulator is is_emulator
    assert names.reached_by(AwsAccess()) == AwsAccess()


@pytest.mark.seen("D4")
def test_an_emulator_without_an_address_is_told_to_the_operator() -> None:
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL"):
        AwsAccess.from_settings(Settings(_env_file=None, aws_emulator=True))


@pytest.mark.seen("D4")
@pytest.mark.parametrize(
    ("given", "is_warned"),
    [
        ({"aws_endpoint_url": "http://127.0.0.1:4566"}, True),
        ({"aws_endpoint_url": "http://127.0.0.1:4566", "aws_emulator": True}, False),
        ({"aws_endpoint_url": "https://vpce.example"}, False),
        ({}, False),
    ],
)
def test_an_address_without_tls_is_named_at_start_with_the_setting_it_may_need(
    given: dict[str, Any], is_warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_plain_endpoint(Settings(_env_file=None, **given))
    assert ("AWS_EMULATOR=true" in caplog.text) is is_warned


def test_secrets_are_not_shown() -> None:
    shown = repr(AwsAccess(secret_access_key="hush", session_token="hush"))
    assert "hush" not in shown


@pytest.mark.usefixtures("bare")
async def test_a_second_client_reads_no_description_again(monkeypatch: pytest.MonkeyPatch) -> None:
    access = AwsAccess(endpoint_url=shared_emulator().url, is_emulator=True)
    async with open_client("sqs", access, tries=1):
        pass
    read: list[str] = []
    load_file = JSONFileLoader.load_file

    def load_and_record(loader: JSONFileLoader, path: str) -> Any:
        read.append(path)
        return load_file(loader, path)

    monkeypatch.setattr(JSONFileLoader, "load_file", load_and_record)
    async with open_client("sqs", access, tries=1) as sqs:
        await sqs("list_queues")
    assert read == []


@pytest.mark.usefixtures("bare")
async def test_descriptions_are_also_looked_for_where_the_driver_is_told_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = Path(botocore.__file__).parent / "data" / "sqs"
    shutil.copytree(source, tmp_path / "another-queue")
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    access = AwsAccess(endpoint_url=shared_emulator().url, is_emulator=True)
    async with open_client("another-queue", access, tries=1) as sqs:
        assert sqs is not None
