"""The fake of Anthropic is what it claims to be: the official client is satisfied with it."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from domain.entities.reply import FinishReason
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.behaviour import USAGE, Blocks, Breaks, Calls, Refuses, Says, Thinks

CALL = Calls("get_weather", '{"city":"Paris"}', id="toolu_1", in_fragments=True)
TOOLS: Any = [
    {
        "name": "get_weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]
QUESTION: Any = {"role": "user", "content": "What is the capital of France?"}
COMMON: Any = {"model": "claude-sonnet-4-6", "max_tokens": 4096}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
async def provider() -> AsyncIterator[FakeAnthropic]:
    async with FakeAnthropic() as provider:
        yield provider


@pytest.fixture
async def client(provider: FakeAnthropic) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        api_key="test-key", base_url=provider.base_url, max_retries=0
    ) as client:
        yield client


async def test_it_reads_an_answer(
    provider: FakeAnthropic, client: anthropic.AsyncAnthropic
) -> None:
    provider.then(Says(["The capital", " is Paris."]))
    answer = await client.messages.create(messages=[QUESTION], system="Be short.", **COMMON)
    assert [block.text for block in answer.content if block.type == "text"] == [
        "The capital is Paris."
    ]
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (15, USAGE.output_tokens)
    details = answer.usage.output_tokens_details
    assert details is not None
    assert details.thinking_tokens == USAGE.reasoning_tokens


async def test_it_reads_a_stream(provider: FakeAnthropic, client: anthropic.AsyncAnthropic) -> None:
    provider.then(Says(["The capital", " is ", "Paris."]))
    async with client.messages.stream(messages=[QUESTION], **COMMON) as stream:
        texts = [text async for text in stream.text_stream]
        answer = await stream.get_final_message()
    assert texts == ["The capital", " is ", "Paris."]
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens == USAGE.output_tokens


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_it_calls_tools_and_sends_thinking_back(
    provider: FakeAnthropic, client: anthropic.AsyncAnthropic, is_streamed: bool
) -> None:
    said = Says([Thinks("Let me "), Thinks("see."), "Well.", CALL], FinishReason.TOOL_CALLS)
    provider.then(said, Says(["Sunny."]))
    more: Any = {**COMMON, "tools": TOOLS, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    if is_streamed:
        async with client.messages.stream(messages=[QUESTION], **more) as stream:
            answer = await stream.get_final_message()
    else:
        answer = await client.messages.create(messages=[QUESTION], **more)
    assert answer.stop_reason == "tool_use"
    thinking, text, call = answer.content
    assert thinking.type == "thinking"
    assert thinking.thinking == "Let me see."
    assert thinking.signature
    assert text.type == "text"
    assert call.type == "tool_use"
    assert (call.id, call.name, call.input) == ("toolu_1", "get_weather", {"city": "Paris"})
    content: Any = [block.model_dump(exclude_none=True) for block in answer.content]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "22C"}
    messages: list[Any] = [QUESTION, {"role": "assistant", "content": content}]
    with pytest.raises(anthropic.BadRequestError, match="without `tool_result`"):
        await client.messages.create(messages=messages, **more)
    messages.append({"role": "user", "content": [result]})
    final = await client.messages.create(messages=messages, **more)
    assert [block.text for block in final.content if block.type == "text"] == ["Sunny."]
    content[0]["signature"] = "another"
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        await client.messages.create(messages=messages, **more)


async def test_it_sees_a_refusal_of_the_model(
    provider: FakeAnthropic, client: anthropic.AsyncAnthropic
) -> None:
    provider.then(Blocks())
    answer = await client.messages.create(messages=[QUESTION], **COMMON)
    assert (answer.stop_reason, answer.content) == ("refusal", [])


@pytest.mark.parametrize(
    ("refuses", "kind"),
    [
        (Refuses(400), anthropic.BadRequestError),
        (Refuses(401, reason="bad key"), anthropic.AuthenticationError),
        (Refuses(403), anthropic.PermissionDeniedError),
        (Refuses(404), anthropic.NotFoundError),
        (Refuses(429, retry_after_seconds=3), anthropic.RateLimitError),
        (Refuses(500), anthropic.InternalServerError),
        (Refuses(529), anthropic.InternalServerError),
    ],
)
async def test_it_understands_a_refusal(
    provider: FakeAnthropic,
    client: anthropic.AsyncAnthropic,
    refuses: Refuses,
    kind: type[anthropic.APIStatusError],
) -> None:
    provider.then(refuses)
    with pytest.raises(kind) as raised:
        await client.messages.create(messages=[QUESTION], **COMMON)
    if refuses.retry_after_seconds:
        assert raised.value.response.headers["retry-after"] == "3"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "first message"),
        ({"messages": [QUESTION, QUESTION]}, "alternate"),
        ({"extra_body": {"seed": 1}}, "seed: Extra inputs are not permitted"),
        ({"tool_choice": {"type": "any"}}, "tool_choice may only be specified"),
    ],
)
async def test_it_is_refused_what_the_api_refuses(
    client: anthropic.AsyncAnthropic, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(anthropic.BadRequestError, match=message):
        await client.messages.create(**{"messages": [QUESTION], **COMMON, **changes})


async def test_it_sees_an_error_in_mid_stream_and_a_cut(
    provider: FakeAnthropic, client: anthropic.AsyncAnthropic
) -> None:
    async def read() -> None:
        async with client.messages.stream(messages=[QUESTION], **COMMON) as stream:
            await stream.get_final_message()

    provider.then(Says(["The capital"], FinishReason.ERROR), Breaks(["The capital"]))
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        await read()
    with pytest.raises(Exception, match="peer closed"):
        await read()
