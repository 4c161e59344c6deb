"""Calls of Anthropic: headers, limits, what it refuses, and the models file."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from domain.entities.items import Reasoning, ToolCall, ToolResult
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import AnswerEvent, FinishReason, ProviderSelected
from domain.entities.tools import OF_CHATS, Capability, ReasoningEffort, Tool
from domain.exceptions import LLMError, LLMRejected, LLMUnavailable
from domain.use_cases.record_answer import AnswerRecorder
from infra.clock import SystemClock
from infra.llm.catalogue.loader import load_catalogue
from infra.llm.chain import open_llm
from infra.llm.providers.anthropic.client import AnthropicClient
from infra.llm.transport.http_stream import provider_session
from infra.settings import Settings
from tests.fakes.anthropic import FakeAnthropic, error
from tests.fakes.behaviour import Calls, Refuses, Says, Thinks
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.clock import FakeClock
from tests.fakes.received import text_of
from tests.unit.infra.llm.resilience.parts import RecordingObserver, read_answer

PROMPT = Prompt.from_text("Hi")
CALLS_TOOL = Says([Thinks("Hm."), Calls("x", "{}", id="toolu_1")], FinishReason.TOOL_CALLS)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with provider_session(2.0) as session:
        yield session


@pytest.fixture
async def provider() -> AsyncIterator[FakeAnthropic]:
    async with FakeAnthropic() as provider:
        yield provider


def client_of(
    session: aiohttp.ClientSession, provider: FakeAnthropic, **options: Any
) -> AnthropicClient:
    given: dict[str, Any] = {
        "provider": "anthropic",
        "model": "m",
        "upstream": "claude-sonnet-4-6",
        "base_url": provider.base_url + "/",
        "api_key": "test-key",
        "max_answer_bytes": 1024,
        "cost": lambda usage: usage,
        "family": "f",
    }
    return AnthropicClient(session, **given | options)


async def events_of(client: AnthropicClient, prompt: Prompt = PROMPT) -> list[AnswerEvent]:
    async with asyncio.timeout(120):
        return [event async for event in client.stream(prompt, a_chat_context())]


async def test_it_is_asked_at_its_address_with_its_headers(
    session: aiohttp.ClientSession, provider: FakeAnthropic
) -> None:
    first, *_ = await events_of(client_of(session, provider))
    assert first == ProviderSelected(provider="anthropic", model="m")
    (seen,) = provider.seen
    assert (seen.path, seen.query) == ("/v1/messages", {})
    assert seen.headers["x-api-key"] == "test-key"
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert "Authorization" not in seen.headers


async def test_a_local_server_gets_no_key(session: aiohttp.ClientSession) -> None:
    async with FakeAnthropic(api_key=None) as provider:
        await events_of(client_of(session, provider, api_key=None))
        assert "x-api-key" not in provider.seen[0].headers


@pytest.mark.parametrize(
    ("asked", "limit", "sent"), [(7, 64_000, 7), (None, 64_000, 64_000), (None, None, 8192)]
)
async def test_the_limit_on_output_is_always_sent(
    session: aiohttp.ClientSession,
    provider: FakeAnthropic,
    asked: int | None,
    limit: int | None,
    sent: int,
) -> None:
    client = client_of(session, provider, max_output_tokens=limit)
    await events_of(client, replace(PROMPT, max_output_tokens=asked))
    assert provider.seen[0].body["max_tokens"] == sent


STRICT = replace(PROMPT, tools=(Tool(name="x", is_strict=True),))
SAMPLED = replace(PROMPT, temperature=0.5, top_p=0.9)
EFFORT = replace(PROMPT, reasoning_effort=ReasoningEffort.EXTRA_HIGH)


@pytest.mark.parametrize(
    ("prompt", "message", "left_out", "kept"),
    [
        (SAMPLED, "`temperature` is deprecated for this model.", {"temperature", "top_p"}, set()),
        (SAMPLED, "top_p: Extra inputs are not permitted", {"temperature", "top_p"}, set()),
        (
            SAMPLED,
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            {"top_p"},
            {"temperature"},
        ),
        (
            EFFORT,
            "This model does not support the effort parameter.",
            {"output_config", "thinking"},
            set(),
        ),
        (
            EFFORT,
            "adaptive thinking is not supported on this model",
            {"output_config", "thinking"},
            set(),
        ),
    ],
)
async def test_what_a_model_refuses_is_left_out_from_then_on(
    session: aiohttp.ClientSession,
    provider: FakeAnthropic,
    prompt: Prompt,
    message: str,
    left_out: set[str],
    kept: set[str],
) -> None:
    client = client_of(session, provider)
    provider.then(error(400, message=message))
    for _ in range(2):
        assert text_of((await events_of(client, prompt))[1:-1]) == "Hello world"
    first, *others = (seen.body for seen in provider.seen)
    assert left_out | kept <= first.keys()
    assert len(others) == 2
    for body in others:
        assert left_out.isdisjoint(body)
        assert kept <= body.keys()


async def test_strict_tools_are_sent_as_plain_ones_where_they_are_refused(
    session: aiohttp.ClientSession, provider: FakeAnthropic
) -> None:
    client = client_of(session, provider)
    provider.then(error(400, message="tools.0.custom.strict: Extra inputs are not permitted"))
    await events_of(client, STRICT)
    tools = [seen.body["tools"][0] for seen in provider.seen]
    assert ["strict" in tool for tool in tools] == [True, False]


async def test_an_effort_that_is_refused_is_left_out_once(
    session: aiohttp.ClientSession, provider: FakeAnthropic
) -> None:
    client = client_of(session, provider)
    text = "output_config.effort: Input should be 'low', 'medium' or 'high', not 'xhigh'"
    provider.then(error(400, message=text))
    await events_of(client, EFFORT)
    await events_of(client, replace(EFFORT, reasoning_effort=ReasoningEffort.HIGH))
    assert ["output_config" in seen.body for seen in provider.seen] == [True, False, True]


async def test_a_partial_answer_ends_without_white_space_and_is_joined(
    session: aiohttp.ClientSession, provider: FakeAnthropic
) -> None:
    provider.then(Says([" Paris", "."]))
    messages = (*PROMPT.messages, Message(role=Role.ASSISTANT, text="It is "))
    events = await events_of(client_of(session, provider), replace(PROMPT, messages=messages))
    assert text_of(events[1:-1]) == "Paris."


async def test_thinking_goes_back_to_its_family_and_to_no_other(
    session: aiohttp.ClientSession, provider: FakeAnthropic
) -> None:
    provider.then(CALLS_TOOL, Says(["Sunny."]), Says(["Sunny."]))
    asked = replace(PROMPT, tools=(Tool(name="x"),), reasoning_effort=ReasoningEffort.LOW)
    recorder = AnswerRecorder(a_chat_context(), asked, FakeClock())
    *events, reply = await events_of(client_of(session, provider), asked)
    for event in events:
        recorder.add(event)  # type: ignore[arg-type]
    items = recorder.completed(reply).items  # type: ignore[arg-type]
    assert [type(item) for item in items] == [Reasoning, ToolCall]
    messages = (
        *PROMPT.messages,
        Message(role=Role.ASSISTANT, text="", items=items),
        Message(role=Role.USER, text="", items=(ToolResult(call_id="toolu_1", output="22C"),)),
    )
    following = replace(asked, messages=messages)
    for family in ("f", "another"):
        await events_of(client_of(session, provider, family=family), following)
    sent = [seen.body["messages"][1]["content"] for seen in provider.seen[1:]]
    assert [[block["type"] for block in content] for content in sent] == [
        ["thinking", "tool_use"],
        ["tool_use"],
    ]


async def test_a_signature_of_another_is_refused_by_the_fake(
    session: aiohttp.ClientSession, provider: FakeAnthropic
) -> None:
    provider.then(CALLS_TOOL)
    asked = replace(PROMPT, tools=(Tool(name="x"),))
    recorder = AnswerRecorder(a_chat_context(), asked, FakeClock())
    *events, reply = await events_of(client_of(session, provider), asked)
    for event in events:
        recorder.add(event)  # type: ignore[arg-type]
    thought, call = recorder.completed(reply).items  # type: ignore[arg-type]
    assert isinstance(thought, Reasoning)
    altered = (replace(thought, text="Hm!"), call)
    messages = (
        *PROMPT.messages,
        Message(role=Role.ASSISTANT, text="", items=altered),
        Message(role=Role.USER, text="", items=(ToolResult(call_id="toolu_1", output="22C"),)),
    )
    with pytest.raises(LLMRejected):
        await events_of(client_of(session, provider), replace(asked, messages=messages))


@pytest.mark.parametrize("status", [500, 529])
async def test_an_overload_may_be_tried_again_after_the_time_it_states(
    session: aiohttp.ClientSession, provider: FakeAnthropic, status: int
) -> None:
    provider.then(Refuses(status, retry_after_seconds=3))
    with pytest.raises(LLMError) as raised:
        await events_of(client_of(session, provider))
    assert isinstance(raised.value, LLMUnavailable)
    assert raised.value.retry_after_seconds == 3


MODELS = """
default = "claude"

[providers.anthropic]
kind = "anthropic"
base_url = "{url}"
api_key_env = "ANTHROPIC_API_KEY"

[models.claude]
provider = "anthropic"
upstream = "claude-sonnet-4-6"
context_tokens = 200000
max_output_tokens = 64000
"""


async def test_the_models_file_and_the_key_alone_open_it(
    tmp_path: Path, provider: FakeAnthropic
) -> None:
    models = tmp_path / "models.toml"
    models.write_text(MODELS.format(url=provider.base_url), encoding="utf-8")
    settings = Settings(_env_file=None, models_file=models)
    clock, context = SystemClock(), a_chat_context()
    context.model = "claude"
    catalogue = load_catalogue(settings, {"ANTHROPIC_API_KEY": "test-key"}, clock)
    (model,) = catalogue.models()
    assert model.capabilities == OF_CHATS - {Capability.AUDIO}
    assert catalogue.entries[0].family == "claude"
    async with open_llm(catalogue, settings, clock=clock, observer=RecordingObserver()) as llm:
        heard = await read_answer(llm.client, context)
    assert (heard.text, heard.error) == ("Hello world", None)
    assert provider.seen[0].body["max_tokens"] == 64_000
