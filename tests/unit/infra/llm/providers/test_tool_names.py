"""The names of tools at providers, whose alphabets and lengths differ."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.entities.items import ToolCall, ToolResult
from domain.entities.prompt import CacheMark, Message, Prompt, PromptCaching, Role
from domain.entities.reply import FinishReason
from domain.entities.tools import Tool, ToolChoice, ToolMode
from infra.llm.providers.anthropic.client import AnthropicClient
from infra.llm.providers.anthropic.request import TOOL_NAMES as ANTHROPIC
from infra.llm.providers.bedrock.client import BedrockClient
from infra.llm.providers.bedrock.names import TOOL_NAMES as BEDROCK
from infra.llm.providers.gemini.client import GeminiClient
from infra.llm.providers.gemini.request import TOOL_NAMES as GEMINI
from infra.llm.providers.openai.client import OpenAICompatibleClient
from infra.llm.providers.openai.request import TOOL_NAMES as OPENAI
from infra.llm.transport.call_identifiers import ToolNames
from infra.llm.transport.http_stream import provider_session
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.behaviour import Calls, Says
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.gemini import FakeGemini
from tests.fakes.openai import FakeOpenAI

KINDS: dict[str, tuple[Callable[[], Any], Callable[..., Any], Callable[[Any], list[str]]]] = {
    "anthropic": (
        FakeAnthropic,
        AnthropicClient,
        lambda body: [tool["name"] for tool in body["tools"]],
    ),
    "bedrock": (
        FakeBedrock,
        BedrockClient,
        lambda body: [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]],
    ),
    "gemini": (
        FakeGemini,
        GeminiClient,
        lambda body: [tool["name"] for tool in body["tools"][0]["functionDeclarations"]],
    ),
    "openai": (
        FakeOpenAI,
        OpenAICompatibleClient,
        lambda body: [tool["function"]["name"] for tool in body["tools"]],
    ),
}
ODD_NAMES = (
    "2fa-check",
    "-x",
    "default_api:get.weather",
    "files read",
    "ação",
    "a" * 65,
    "a" * 128,
)
HI = Message(role=Role.USER, text="Hi")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with provider_session(2.0) as session:
        yield session


async def calls_of(client: Any, prompt: Prompt) -> list[ToolCall]:
    async with asyncio.timeout(60):
        events = [event async for event in client.stream(prompt, a_chat_context())]
    return [event for event in events if isinstance(event, ToolCall)]


@pytest.mark.parametrize("in_fragments", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_any_name_goes_out_in_the_alphabet_of_the_provider_and_comes_back(
    session: aiohttp.ClientSession, kind: str, in_fragments: bool
) -> None:
    fake, new_client, sent_names = KINDS[kind]
    tools = tuple(Tool(name=name) for name in (*ODD_NAMES, "plain"))
    prompt = Prompt(messages=(HI,), tools=tools)
    async with fake() as provider:
        client = new_client(
            session,
            provider="p",
            model="m",
            upstream="x",
            base_url=provider.base_url,
            api_key="test-key",
            max_answer_bytes=1 << 20,
            cost=lambda usage: usage,
        )
        provider.then(Says(["Hello"]))
        await calls_of(client, prompt)
        sent = sent_names(provider.seen[-1].body)
        assert len({*sent}) == len(tools)
        pieces = [
            Calls(name, "{}", id=f"call_{n}", in_fragments=in_fragments)
            for n, name in enumerate(sent)
        ]
        provider.then(Says(pieces, finish=FinishReason.TOOL_CALLS), Says(["Hello"]))
        calls = await calls_of(client, prompt)
        assert [call.name for call in calls] == [*ODD_NAMES, "plain"]
        results = tuple(ToolResult(call_id=call.id, output="ok") for call in calls)
        again = replace(
            prompt,
            messages=(
                HI,
                Message(role=Role.ASSISTANT, text="", items=tuple(calls)),
                Message(role=Role.USER, text="", items=results),
            ),
            tool_choice=ToolChoice(mode=ToolMode.REQUIRED, names=(ODD_NAMES[0],)),
        )
        assert await calls_of(client, again) == []


async def test_a_cache_mark_stays_at_a_tool_of_another_name(
    session: aiohttp.ClientSession,
) -> None:
    prompt = Prompt(
        messages=(HI,),
        tools=(Tool(name="files.read"), Tool(name="plain")),
        caching=PromptCaching(tools=(CacheMark(position=1),)),
    )
    async with FakeAnthropic() as provider:
        client = AnthropicClient(
            session,
            provider="p",
            model="m",
            upstream="x",
            base_url=provider.base_url,
            api_key="test-key",
            max_answer_bytes=1024,
            cost=lambda usage: usage,
        )
        await calls_of(client, prompt)
        tools = provider.seen[-1].body["tools"]
    assert ["cache_control" in tool for tool in tools] == [True, False]


VALID = [
    (ANTHROPIC, r"[A-Za-z0-9_-]{1,128}"),
    (BEDROCK, r"[A-Za-z0-9_-]{1,64}"),
    (GEMINI, r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}"),
    (OPENAI, r"[A-Za-z0-9_-]{1,64}"),
]


@pytest.mark.parametrize(("names", "valid"), VALID)
@given(
    tools=st.lists(
        st.text(st.sampled_from("aZ0_-.:/ é") | st.characters(codec="utf-8"), min_size=1)
        | st.text("a", min_size=60, max_size=140),
        unique=True,
        max_size=8,
    )
)
def test_names_are_valid_different_and_known_by_the_name_sent(
    names: ToolNames, valid: str, tools: list[str]
) -> None:
    sent = [names.sent(name) for name in tools]
    assert all(re.fullmatch(valid, name) for name in sent)
    assert len({*sent}) == len(tools)
    originals = names.originals(Prompt(messages=(HI,), tools=tuple(Tool(name=n) for n in tools)))
    assert [originals.get(name, name) for name in sent] == tools
    assert all(name not in originals for name in tools)
