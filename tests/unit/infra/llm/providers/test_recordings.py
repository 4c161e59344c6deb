"""What real providers really answered, replayed."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from domain.entities.prompt import Prompt
from domain.entities.reply import FinishReason, ProviderSelected, Reply, Usage
from domain.exceptions import (
    ContentBlocked,
    LLMError,
    LLMMisconfigured,
    LLMRateLimited,
    LLMRejected,
)
from infra.llm.providers.anthropic.client import AnthropicClient
from infra.llm.providers.bedrock.client import BedrockClient
from infra.llm.providers.gemini.client import GeminiClient
from infra.llm.providers.openai.client import OpenAICompatibleClient
from infra.llm.transport.http_stream import provider_session
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.behaviour import Raw
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.gemini import FakeGemini
from tests.fakes.openai import FakeOpenAI
from tests.fakes.recordings import Recording, recordings

ALL = {
    recording.name: recording
    for name in ("anthropic", "bedrock", "gemini", "openrouter")
    for recording in recordings(name)
    if "count_tokens" not in recording.name
}
VENUS = Usage(input_tokens=17, output_tokens=1515, reasoning_tokens=704, total_tokens=1532)
EXPECTED: dict[str, tuple[str, Reply] | type[LLMError]] = {
    "anthropic_stream_thinking_0": (
        "Here are the basic steps for safely crossing the street:",
        Reply(
            finish_reason=FinishReason.STOP,
            usage=Usage(
                input_tokens=43,
                output_tokens=282,
                total_tokens=325,
                cached_input_tokens=0,
                cache_write_tokens=0,
                hour_cache_write_tokens=0,
            ),
        ),
    ),
    "bedrock_error_before_stream_0": LLMMisconfigured,
    "bedrock_inference_profile_0": (
        "Hello",
        Reply(
            finish_reason=FinishReason.STOP,
            usage=Usage(input_tokens=8, output_tokens=2, total_tokens=10),
        ),
    ),
    "bedrock_stream_text_0": (
        "The capital of France is Paris. Paris is not only the capital city but also the most populous city in France",
        Reply(
            finish_reason=FinishReason.STOP,
            usage=Usage(input_tokens=13, output_tokens=82, total_tokens=95),
        ),
    ),
    "gemini_generate_blocked_by_safety": ContentBlocked,
    "gemini_generate_prompt_blocked": ContentBlocked,
    "gemini_generate_max_tokens_empty": (
        "",
        Reply(
            finish_reason=FinishReason.LENGTH,
            usage=Usage(input_tokens=15, output_tokens=2, reasoning_tokens=2, total_tokens=17),
        ),
    ),
    "gemini_generate_ok": (
        "4",
        Reply(
            finish_reason=FinishReason.STOP,
            usage=Usage(input_tokens=15, output_tokens=73, reasoning_tokens=72, total_tokens=88),
        ),
    ),
    "gemini_stream_ok": (
        "The capital of France is Paris.\n",
        Reply(
            finish_reason=FinishReason.STOP,
            usage=Usage(input_tokens=13, output_tokens=8, total_tokens=21),
        ),
    ),
    "gemini_image_0": (
        "That is a potato.",
        Reply(
            finish_reason=FinishReason.STOP,
            usage=Usage(input_tokens=1817, output_tokens=5, total_tokens=1822),
        ),
    ),
    "gemini_json_schema_0": (
        '{\n  "city": "Mexico City"',
        Reply(
            finish_reason=FinishReason.STOP,
            usage=Usage(input_tokens=8, output_tokens=20, total_tokens=28),
        ),
    ),
    "gemini_json_schema_recursive_0": (
        '{\n  "value": "A"',
        Reply(
            finish_reason=FinishReason.STOP,
            usage=Usage(input_tokens=19, output_tokens=48, total_tokens=67),
        ),
    ),
    "openrouter_reasoning_sent_back_0": (
        "Hello! How can I help you today?",
        Reply(
            finish_reason=FinishReason.STOP,
            usage=Usage(input_tokens=8, output_tokens=15, reasoning_tokens=0, total_tokens=23),
        ),
    ),
    "openrouter_reasoning_sent_back_1": (
        "Short answer: Very large.",
        Reply(
            finish_reason=FinishReason.STOP,
            usage=Usage(
                input_tokens=41, output_tokens=1457, reasoning_tokens=704, total_tokens=1498
            ),
        ),
    ),
    "openrouter_stream_reasoning_details_0": (
        "2 + 2 = 4",
        Reply(
            finish_reason=FinishReason.STOP,
            usage=Usage(
                input_tokens=43,
                output_tokens=36,
                reasoning_tokens=13,
                total_tokens=79,
                cached_input_tokens=0,
                cost_usd=0.000669,
            ),
        ),
    ),
    "openrouter_generate_ok": (
        "Brief summary",
        Reply(finish_reason=FinishReason.STOP, usage=VENUS),
    ),
    "openrouter_rate_limited": LLMRateLimited,
    "openrouter_stream_error": LLMRejected,
}

KINDS: dict[str, tuple[Any, Any]] = {
    "anthropic": (FakeAnthropic, AnthropicClient),
    "bedrock": (FakeBedrock, BedrockClient),
    "gemini": (FakeGemini, GeminiClient),
    "openrouter": (FakeOpenAI, OpenAICompatibleClient),
}
pytestmark = pytest.mark.skipif(not ALL, reason="the recordings are not at hand")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with provider_session(2.0) as session:
        yield session


async def replayed(
    session: aiohttp.ClientSession, recording: Recording, raw: Raw
) -> list[ProviderSelected | str | Reply]:
    """Ask a provider that answers as recorded."""
    options = {
        "model": "a-model",
        "upstream": "x",
        "api_key": "test-key",
        "max_answer_bytes": 1024 * 1024,
        "cost": lambda usage: usage,
    }
    kind = recording.name.partition("_")[0]
    fake, make = KINDS[kind]
    async with fake(raw) as provider:
        client = make(session, provider="p", base_url=provider.base_url, **options)
        return [piece async for piece in client.stream(Prompt.from_text("Hi"), a_chat_context())]


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("is_stream", [True, False], ids=["as a stream", "as recorded"])
async def test_a_recorded_answer_is_understood(
    session: aiohttp.ClientSession, name: str, is_stream: bool
) -> None:
    recording, expected = ALL[name], EXPECTED[name]
    raw = recording.as_stream() if is_stream else recording.as_recorded()
    if isinstance(expected, type):
        with pytest.raises(expected):
            await replayed(session, recording, raw)
        return
    pieces = await replayed(session, recording, raw)
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    assert text.startswith(expected[0]) if expected[0] else text == ""
    assert pieces[-1] == expected[1]


def test_every_recording_without_tools_is_replayed() -> None:
    assert set(EXPECTED) == {
        name
        for name, recording in ALL.items()
        if b'"tools":' not in orjson.dumps(recording.request)
    }
