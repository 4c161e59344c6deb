"""The fake of Amazon Bedrock is what it claims to be: AWS's own client is satisfied with it."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError, EventStreamError

from domain.entities.items import Attachment, Text, ToolCall, ToolResult
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import FinishReason
from domain.entities.tools import ReasoningEffort, ResponseFormat, Tool, ToolChoice, ToolMode
from infra.llm.providers.bedrock.client import BedrockClient
from infra.llm.providers.bedrock.identity import AwsIdentity
from infra.llm.providers.bedrock.signer import BedrockSigner
from infra.llm.transport.http_stream import provider_session
from tests.fakes.bedrock import REGION, FakeBedrock
from tests.fakes.behaviour import USAGE, Blocks, Breaks, Calls, Refuses, Says, Thinks
from tests.fakes.chat_contexts import a_chat_context

MODEL = "us.anthropic.claude-sonnet-4-6"
QUESTION: Any = {"role": "user", "content": [{"text": "What is the capital of France?"}]}
CALL = Calls("x", '{"city":"Paris"}', id="tooluse_1", in_fragments=True)


@pytest.fixture
async def provider() -> AsyncIterator[FakeBedrock]:
    async with FakeBedrock() as provider:
        yield provider


@pytest.fixture
async def client(provider: FakeBedrock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with AioSession().create_client(
        "bedrock-runtime",
        region_name=REGION,
        endpoint_url=provider.base_url,
        aws_access_key_id=provider.own.access_key,
        aws_secret_access_key=provider.own.secret,
        config=AioConfig(retries={"total_max_attempts": 1}),
    ) as client:
        yield client


async def streamed(client: Any, **parameters: Any) -> list[dict[str, Any]]:
    response = await client.converse_stream(modelId=MODEL, **parameters)
    try:
        return [event async for event in response["stream"]]
    finally:
        response["stream"].close()


async def test_it_reads_a_stream_with_reasoning_text_and_calls(
    provider: FakeBedrock, client: Any
) -> None:
    provider.then(Says([Thinks("Hm."), "Well.", CALL], FinishReason.TOOL_CALLS))
    events = await streamed(client, messages=[QUESTION])
    deltas = [
        event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event
    ]
    assert deltas[0] == {"reasoningContent": {"text": "Hm."}}
    assert {"text": "Well."} in deltas
    arguments = "".join(delta["toolUse"]["input"] for delta in deltas if "toolUse" in delta)
    assert arguments == CALL.arguments
    assert {"messageStop": {"stopReason": "tool_use"}} in events
    usage = events[-1]["metadata"]["usage"]
    assert (usage["inputTokens"], usage["totalTokens"]) == (15, USAGE.total_tokens)
    assert provider.signers == [provider.own]


async def test_it_reads_an_answer_that_is_not_streamed(provider: FakeBedrock, client: Any) -> None:
    provider.then(Says(["Paris."]))
    answer = await client.converse(modelId=MODEL, messages=[QUESTION])
    assert answer["output"]["message"]["content"] == [{"text": "Paris."}]
    assert answer["stopReason"] == "end_turn"


async def test_it_reads_a_block(provider: FakeBedrock, client: Any) -> None:
    provider.then(Blocks())
    events = await streamed(client, messages=[QUESTION])
    assert events[-1] == {"messageStop": {"stopReason": "guardrail_intervened"}}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ValidationException"),
        (403, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (429, "ThrottlingException"),
        (503, "ServiceUnavailableException"),
    ],
)
async def test_it_reads_refusals(
    provider: FakeBedrock, client: Any, status: int, code: str
) -> None:
    provider.then(Refuses(status))
    with pytest.raises(ClientError) as raised:
        await streamed(client, messages=[QUESTION])
    assert raised.value.response["Error"]["Code"] == code


async def test_it_reads_an_exception_in_the_stream(provider: FakeBedrock, client: Any) -> None:
    provider.then(Says(["Well."], FinishReason.ERROR))
    with pytest.raises(EventStreamError) as raised:
        await streamed(client, messages=[QUESTION])
    assert raised.value.response["Error"]["Code"] == "modelStreamErrorException"


async def test_it_notices_a_connection_that_breaks(provider: FakeBedrock, client: Any) -> None:
    provider.then(Breaks(["Well."]))
    with pytest.raises(Exception, match="payload"):
        await streamed(client, messages=[QUESTION])


SCHEMA = '{"type":"object","properties":{"city":{"type":"string"}},"additionalProperties":false}'


async def test_it_sends_what_our_client_sends(provider: FakeBedrock, client: Any) -> None:
    """The body that AWS's client writes for the same parameters is ours."""
    messages = (
        Message(
            role=Role.USER,
            text="Look:",
            items=(
                Text(text="Look:"),
                Attachment(media_type="image/png", content=b"abc"),
                Attachment(media_type="application/pdf", content=b"abcd", name="a"),
            ),
        ),
        Message(
            role=Role.ASSISTANT,
            text="",
            items=(ToolCall(id="tooluse_1", name="x", arguments='{"city":"Paris"}'),),
        ),
        Message(role=Role.USER, text="", items=(ToolResult(call_id="tooluse_1", output="22C"),)),
    )
    prompt = Prompt(
        messages=messages,
        system="Be short.",
        max_output_tokens=100,
        stop=("END",),
        tools=(Tool(name="x", description="Looks.", parameters=SCHEMA),),
        tool_choice=ToolChoice(mode=ToolMode.AUTO),
        response_format=ResponseFormat(schema=SCHEMA, description="A city."),
        reasoning_effort=ReasoningEffort.LOW,
    )
    identity = AwsIdentity(
        region=REGION,
        access_key_id=provider.own.access_key,
        secret_access_key=provider.own.secret,
    )
    async with provider_session(2.0) as session:
        await _ask(session, provider, BedrockSigner(identity, provider="p"), prompt)
    (ours,) = provider.seen
    parameters = orjson.loads(ours.raw_body)
    for message in parameters["messages"]:
        for block in message["content"]:
            for kind, data in (("image", b"abc"), ("document", b"abcd")):
                if kind in block:
                    block[kind]["source"]["bytes"] = data
    await streamed(client, **parameters)
    theirs = provider.seen[1]
    assert theirs.raw_path == ours.raw_path
    assert theirs.body == ours.body


async def _ask(
    session: aiohttp.ClientSession, provider: FakeBedrock, signer: BedrockSigner, prompt: Prompt
) -> None:
    client = BedrockClient(
        session,
        provider="p",
        model="m",
        upstream=MODEL,
        base_url=provider.base_url,
        authorization=signer,
        max_answer_bytes=1 << 20,
        cost=lambda usage: usage,
    )
    async for _ in client.stream(prompt, a_chat_context()):
        pass
