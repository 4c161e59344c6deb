"""Credentials that are found, assumed, renewed and replaced."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiobotocore.session import AioSession
from yarl import URL

from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent, Reply
from domain.exceptions import LLMError, LLMMisconfigured, LLMUnavailable
from infra.llm.providers.bedrock.client import BedrockClient
from infra.llm.providers.bedrock.credentials import sts_config
from infra.llm.providers.bedrock.identity import AwsIdentity
from infra.llm.providers.bedrock.signer import BedrockSigner
from infra.llm.transport.http_stream import provider_session
from tests.fakes.aws_credentials import FakeCredentials
from tests.fakes.bedrock import FakeBedrock, error
from tests.fakes.chat_contexts import a_chat_context

ROLE = "arn:aws:iam::123456789012:role/models"
PROMPT = Prompt.from_text("Hi")
NewClient = Callable[..., BedrockClient]


@pytest.fixture(autouse=True)
def _no_credentials_of_the_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    nowhere = tmp_path_factory.mktemp("nothing")
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(nowhere / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere / "credentials"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # of another service


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def source(stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> FakeCredentials:
    source = await stack.enter_async_context(FakeCredentials())
    for name, value in source.environment.items():
        monkeypatch.setenv(name, value)
    return source


@pytest.fixture
async def provider(stack: AsyncExitStack, source: FakeCredentials) -> FakeBedrock:
    return await stack.enter_async_context(FakeBedrock(keys=source.keys, api_key=None))


@pytest.fixture
async def session(stack: AsyncExitStack) -> aiohttp.ClientSession:
    return await stack.enter_async_context(provider_session(2.0))


@pytest.fixture
def client_of(
    stack: AsyncExitStack, session: aiohttp.ClientSession, provider: FakeBedrock
) -> NewClient:
    def build(**identity: Any) -> BedrockClient:
        signer = BedrockSigner(AwsIdentity(region="us-east-1", **identity), provider="p")
        stack.push_async_callback(signer.close)
        return BedrockClient(
            session,
            provider="p",
            model="m",
            upstream="us.amazon.nova-micro-v1:0",
            base_url=provider.base_url,
            authorization=signer,
            max_answer_bytes=1 << 20,
            cost=lambda usage: usage,
        )

    return build


async def asked(client: BedrockClient) -> list[AnswerEvent]:
    async with asyncio.timeout(120):
        return [event async for event in client.stream(PROMPT, a_chat_context())]


async def failure_of(client: BedrockClient) -> LLMError:
    with pytest.raises(LLMError) as raised:
        await asked(client)
    return raised.value


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0)


async def test_the_role_of_the_container_signs(
    source: FakeCredentials, provider: FakeBedrock, client_of: NewClient
) -> None:
    client = client_of()
    for _ in range(3):
        assert isinstance((await asked(client))[-1], Reply)
    assert provider.signers == source.given * 3


async def test_a_role_is_assumed_with_the_credentials_that_were_found(
    source: FakeCredentials, provider: FakeBedrock, client_of: NewClient
) -> None:
    await asked(client_of(role_arn=ROLE))
    ((role, keys),) = source.assumed
    assert (role, provider.signers) == (ROLE, [keys])
    assert len(source.given) == 1


async def test_stated_keys_are_used_as_they_are(
    source: FakeCredentials, provider: FakeBedrock, client_of: NewClient
) -> None:
    own = provider.own
    client = client_of(access_key_id=own.access_key, secret_access_key=own.secret)
    await asked(client)
    assert provider.signers == [own]
    assert source.given == []


async def test_calls_at_once_look_for_credentials_once(
    source: FakeCredentials, client_of: NewClient
) -> None:
    client = client_of(role_arn=ROLE)
    await asyncio.gather(*[asked(client) for _ in range(20)])
    assert (len(source.given), len(source.assumed)) == (1, 1)


async def test_credentials_may_be_found_before_the_first_call(source: FakeCredentials) -> None:
    signer = BedrockSigner(AwsIdentity(region="us-east-1"), provider="p")
    signer.prepare()
    await until(lambda: bool(source.given))
    await signer.headers(URL("https://x.example/"), "", b"")
    await signer.close()
    assert source.asked == 1


@pytest.mark.parametrize("role_arn", [None, ROLE])
async def test_they_are_renewed_before_they_end_without_a_call_that_waits(
    source: FakeCredentials, provider: FakeBedrock, client_of: NewClient, role_arn: str | None
) -> None:
    source.seconds = 600.0  # which is less than the time before the end at which they are renewed
    client = client_of(role_arn=role_arn)
    await asked(client)
    before = source.asked
    source.gate.clear()
    await asked(client)  # begins the renewal, which waits at the gate
    await until(lambda: source.asked > before)
    await asked(client)
    first, second, third = provider.signers
    assert first == second == third
    source.seconds = 3600.0
    source.gate.set()
    issued = source.given if role_arn is None else source.assumed
    count = len(issued)
    await until(lambda: len(issued) > count)
    while provider.signers[-1] == first:
        await asked(client)
    await asked(client)
    assert provider.signers[-1] == (source.given[-1] if role_arn is None else source.assumed[-1][1])


@pytest.mark.slow
@pytest.mark.realtime  # the credentials last for six seconds
@pytest.mark.parametrize("role_arn", [None, ROLE])
async def test_no_call_fails_while_they_end_again_and_again(
    source: FakeCredentials, provider: FakeBedrock, client_of: NewClient, role_arn: str | None
) -> None:
    source.seconds = 6.0
    client = client_of(role_arn=role_arn)
    done = 0
    while len(set(provider.signers)) < 4:
        events = await asyncio.gather(*[asked(client) for _ in range(5)])
        assert all(isinstance(each[-1], Reply) for each in events)
        done += 5
    assert len(provider.signers) == done


async def test_expired_credentials_are_not_sent(
    source: FakeCredentials, provider: FakeBedrock, client_of: NewClient
) -> None:
    source.seconds = 1.0
    client = client_of()
    await asked(client)
    expires_at = source.given[0].expires_at
    assert expires_at is not None
    await until(lambda: datetime.now(UTC) >= expires_at)
    await asked(client)
    assert len(provider.seen) == len(provider.signers) == 2


async def test_closing_ends_a_renewal(source: FakeCredentials) -> None:
    signer = BedrockSigner(AwsIdentity(region="us-east-1"), provider="p")
    source.gate.clear()
    waiting = asyncio.create_task(signer.headers(URL("https://x.example/"), "", b""))
    await until(lambda: source.asked > 0)
    for _ in range(2):
        await signer.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("role_arn", [None, ROLE])
async def test_credentials_that_aws_no_longer_accepts_are_replaced_within_the_call(
    source: FakeCredentials, provider: FakeBedrock, client_of: NewClient, role_arn: str | None
) -> None:
    client = client_of(role_arn=role_arn)
    await asked(client)
    source.keys.revoke()
    events = await asyncio.gather(*[asked(client) for _ in range(20)])
    assert all(isinstance(each[-1], Reply) for each in events)
    assert len(set(provider.signers)) == 2


async def test_keys_that_stay_refused_are_our_fault_after_one_more_try(
    provider: FakeBedrock, client_of: NewClient
) -> None:
    own = provider.own
    client = client_of(access_key_id=own.access_key, secret_access_key=own.secret)
    provider.keys.revoke(own)
    failure = await failure_of(client)
    assert isinstance(failure, LLMMisconfigured)
    assert len(provider.seen) == 2


async def test_a_refusal_for_another_reason_is_not_sent_again(
    provider: FakeBedrock, client_of: NewClient
) -> None:
    provider.then(error(403, message="no"))
    assert isinstance(await failure_of(client_of()), LLMMisconfigured)
    assert len(provider.seen) == 1


async def test_a_source_that_fails_while_they_are_valid_fails_no_call_and_is_given_a_pause(
    source: FakeCredentials, provider: FakeBedrock, client_of: NewClient
) -> None:
    source.sts_seconds = 300.0  # the driver itself insists on a renewal in the last ten minutes
    client = client_of(role_arn=ROLE)
    await asked(client)
    before = source.asked
    source.sts_failure = 403  # which the driver does not try again
    await asked(client)
    await until(lambda: source.asked == before + 1)
    for _ in range(100):  # long enough for several renewals
        await asked(client)
    assert len(provider.signers) == len(provider.seen) == 102
    assert source.asked == before + 1


@pytest.mark.parametrize(("status", "expected"), [(403, LLMMisconfigured), (500, LLMUnavailable)])
async def test_a_role_that_cannot_be_assumed(
    source: FakeCredentials,
    provider: FakeBedrock,
    client_of: NewClient,
    status: int,
    expected: type[LLMError],
) -> None:
    client = client_of(role_arn=ROLE)
    source.sts_failure = status
    assert type(await failure_of(client)) is expected
    source.sts_failure = 0
    assert isinstance((await asked(client))[-1], Reply)
    assert len(provider.seen) == 1


async def test_without_credentials_the_next_call_looks_again(
    source: FakeCredentials, client_of: NewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    client = client_of()
    context = a_chat_context()
    with pytest.raises(LLMUnavailable):
        async for _ in client.stream(PROMPT, context):
            pass
    assert not context.is_sent
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{source.origin}/credentials")
    assert isinstance((await asked(client))[-1], Reply)


async def test_a_caller_that_leaves_stops_no_search_for_others(
    source: FakeCredentials, client_of: NewClient
) -> None:
    client = client_of()
    source.gate.clear()
    leaving, staying = (asyncio.create_task(asked(client)) for _ in range(2))
    await until(lambda: source.asked > 0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    source.gate.set()
    assert isinstance((await staying)[-1], Reply)
    assert source.asked == 1


@pytest.mark.parametrize(
    ("address", "expected"),
    [(None, "https://sts.us-east-1.amazonaws.com"), ("http://127.0.0.1:2", "http://127.0.0.1:2")],
)
async def test_sts_is_not_called_at_the_address_of_another_service(
    monkeypatch: pytest.MonkeyPatch, address: str | None, expected: str
) -> None:
    if address is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    session = AioSession()
    async with session.create_client("sts", "us-east-1", config=sts_config(), **keys) as client:
        assert client.meta.endpoint_url == expected


async def test_long_bodies_are_signed_too(provider: FakeBedrock, client_of: NewClient) -> None:
    prompt = Prompt.from_text("a" * 300_000)
    events = [event async for event in client_of().stream(prompt, a_chat_context())]
    assert isinstance(events[-1], Reply)
    assert len(provider.signers) == 1
