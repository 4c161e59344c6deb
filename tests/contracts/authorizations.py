"""Every implementation of the port that authorises requests, with a provider that checks them."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from domain.entities.prompt import Prompt
from infra.clock import SystemClock
from infra.llm.credentials.access_tokens import AccessTokens
from infra.llm.credentials.google_token import fetch_google_token
from infra.llm.providers.bedrock.client import BedrockClient
from infra.llm.providers.bedrock.identity import AwsIdentity
from infra.llm.providers.bedrock.signer import BedrockSigner
from infra.llm.providers.gemini.client import GeminiClient
from infra.llm.transport.authorization import Authorization
from infra.llm.transport.http_client import HttpClient
from infra.llm.transport.http_stream import Endpoint, provider_session
from tests.fakes import bedrock, gemini
from tests.fakes.aws_credentials import FakeCredentials
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.behaviour import Raw
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.google_tokens import FakeTokenServer
from tests.fakes.http_provider import FakeProvider
from tests.fakes.vertex import FakeVertex

_MODEL = "amazon.nova-micro-v1:0"
_MAX_ANSWER_BYTES = 1 << 20
_PROMPT = Prompt.from_text("Hi")


@dataclass(frozen=True)
class AuthorizationUnderTest:
    """An authorization, and what uses it.

    Attributes:
        authorization: Under test.
        client: Streams answers.
        endpoint: Fetches whole ones.
        body: A request that the endpoint may send.
        provider: Accepts valid credentials only.
        expired: Its refusal of credentials that have expired.
        forbidden: Its refusal for another reason.
        lookups: Returns how many times credentials were asked for.
        go_on: They are given out while it is set.
        revoke: Ends all credentials given out so far.
    """

    authorization: Authorization
    client: HttpClient
    endpoint: Endpoint
    body: bytes
    provider: FakeProvider
    expired: Raw
    forbidden: Raw
    lookups: Callable[[], int]
    go_on: asyncio.Event | threading.Event
    revoke: Callable[[], None]

    async def stream(self) -> None:
        """Stream an answer to its end."""
        async with asyncio.timeout(120):
            async for _ in self.client.stream(_PROMPT, a_chat_context()):
                pass

    async def fetch(self) -> None:
        """Fetch a whole answer, as for embeddings."""
        async with asyncio.timeout(120):
            await self.endpoint.fetch(self.body, a_chat_context(), lambda answer: None)


async def _access_tokens(stack: AsyncExitStack, folder: Path) -> AuthorizationUnderTest:
    clock = SystemClock()
    tokens = await stack.enter_async_context(FakeTokenServer(clock.monotonic))
    provider = await stack.enter_async_context(FakeVertex(tokens))
    session = await stack.enter_async_context(provider_session(2.0))
    variables = stack.enter_context(pytest.MonkeyPatch.context())
    tokens.write_key_file(folder / "key.json")
    variables.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(folder / "key.json"))
    variables.setenv("GOOGLE_CLOUD_PROJECT", "project")
    authorization = AccessTokens(fetch_google_token, provider="p", clock=clock)
    client = GeminiClient(
        session,
        provider="p",
        model="m",
        upstream=_MODEL,
        base_url=provider.base_url,
        api_key=None,
        max_answer_bytes=_MAX_ANSWER_BYTES,
        cost=lambda usage: usage,
        authorization=authorization,
    )
    endpoint = Endpoint(
        session,
        provider="p",
        model="m",
        url=f"{provider.base_url}/models/{_MODEL}:generateContent",
        headers={},
        max_answer_bytes=_MAX_ANSWER_BYTES,
        cost=lambda usage: usage,
        authorization=authorization,
    )
    return AuthorizationUnderTest(
        authorization=authorization,
        client=client,
        endpoint=endpoint,
        body=b'{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}',
        provider=provider,
        expired=gemini.error(401),
        forbidden=gemini.error(403),
        lookups=lambda: tokens.requests,
        go_on=tokens.go_on,
        revoke=tokens.revoke,
    )


async def _signatures(stack: AsyncExitStack, folder: Path) -> AuthorizationUnderTest:
    source = await stack.enter_async_context(FakeCredentials())
    provider = await stack.enter_async_context(FakeBedrock(keys=source.keys, api_key=None))
    session = await stack.enter_async_context(provider_session(2.0))
    variables = stack.enter_context(pytest.MonkeyPatch.context())
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE"):
        variables.delenv(f"AWS_{name}", raising=False)
    variables.setenv("AWS_CONFIG_FILE", str(folder / "no config"))
    variables.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "no credentials"))
    for name, value in source.environment.items():
        variables.setenv(name, value)
    authorization = BedrockSigner(AwsIdentity(region=provider.region), provider="p")
    client = BedrockClient(
        session,
        provider="p",
        model="m",
        upstream=_MODEL,
        base_url=provider.base_url,
        max_answer_bytes=_MAX_ANSWER_BYTES,
        cost=lambda usage: usage,
        authorization=authorization,
    )
    endpoint = Endpoint(
        session,
        provider="p",
        model="m",
        url=f"{provider.base_url}/model/amazon.nova-micro-v1%3A0/converse",
        headers={},
        max_answer_bytes=_MAX_ANSWER_BYTES,
        cost=lambda usage: usage,
        authorization=authorization,
    )
    return AuthorizationUnderTest(
        authorization=authorization,
        client=client,
        endpoint=endpoint,
        body=b'{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}',
        provider=provider,
        expired=bedrock.error(403, kind="ExpiredTokenException"),
        forbidden=bedrock.error(403),
        lookups=lambda: source.asked,
        go_on=source.gate,
        revoke=source.keys.revoke,
    )


Build = Callable[[AsyncExitStack, Path], Awaitable[AuthorizationUnderTest]]

BUILDERS: dict[str, Build] = {"access tokens": _access_tokens, "signatures": _signatures}
"""By name."""
