"""Tool calls whose stream is cut or split at any byte."""

import tracemalloc
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import aiohttp
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.entities.items import ToolCall
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import AnswerEvent, FinishReason, ProviderSelected, Reply
from domain.entities.tools import OF_CHATS, Tool
from domain.exceptions import LLMError
from infra.llm.providers.anthropic.answer import AnthropicReader
from infra.llm.providers.bedrock.answer import BedrockReader
from infra.llm.providers.gemini.answer import GeminiReader
from infra.llm.providers.gemini.client import GeminiClient
from infra.llm.providers.openai.answer import OpenAIReader
from infra.llm.providers.openai.client import OpenAICompatibleClient
from infra.llm.transport.errors.mapping import TranslateErrors
from infra.llm.transport.http_stream import provider_session
from infra.llm.transport.response_parser import AnswerReader
from infra.llm.transport.stream_decoder import ReceivedAnswer
from tests.fakes import anthropic, bedrock, gemini, openai
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.behaviour import Calls, Cut, Raw, Says, Thinks
from tests.fakes.clock import FakeClock
from tests.fakes.gemini import FakeGemini
from tests.fakes.http_provider import FakeProvider, Seen
from tests.fakes.openai import FakeOpenAI
from tests.fakes.received import calls_of, events_of
from tests.unit.infra.llm.resilience.parts import (
    ReceivedAnswer as Heard,
)
from tests.unit.infra.llm.resilience.parts import (
    RouteHarness,
    a_chat_context,
    falling_back,
    read_answer,
)

PROMPT = Prompt(messages=(Message(role=Role.USER, text="Hi"),), tools=(Tool(name="x"),))
FIRST = ("x", '{"city":"S\\u00e3o Paulo","n":[1,{"a":"}"}]}')
SECOND = ("y", '{"text":"a \\"b\\" {c}"}')
SCRIPT = Says(
    [
        Thinks("Let me "),
        Thinks("see."),
        "Well. ",
        Calls(*FIRST, id="call_a", signature="c2ln", in_fragments=False),
        Calls(*SECOND, id="call_b", in_fragments=True),
    ],
    finish=FinishReason.TOOL_CALLS,
)


def body_of(provider: FakeProvider) -> bytes:
    """Return the body of the scripted answer."""
    path = "/v1beta/models/x:streamGenerateContent"
    seen = Seen(path, {}, {}, {"stream": True, "stream_options": {"include_usage": True}})
    return b"".join(step for step in provider.render(SCRIPT, seen).steps if isinstance(step, bytes))


WIRES: list[Any] = [
    pytest.param(GeminiReader, body_of(FakeGemini()), id="gemini"),
    pytest.param(OpenAIReader, body_of(FakeOpenAI()), id="openai"),
    pytest.param(AnthropicReader, body_of(FakeAnthropic()), id="anthropic"),
    pytest.param(BedrockReader, body_of(FakeBedrock()), id="bedrock"),
]
NewReader = Callable[[], AnswerReader]


def calls_as_documents(events: list[AnswerEvent]) -> list[tuple[str, Any]]:
    return [(name, orjson.loads(arguments)) for name, arguments in calls_of(events)]


WHOLE = [(name, orjson.loads(arguments)) for name, arguments in (FIRST, SECOND)]


def read(
    new_reader: NewReader, *chunks: bytes, max_bytes: int = 1 << 20
) -> tuple[list[AnswerEvent], LLMError | None]:
    """Read an answer to its end; return its events and the error that ended it."""
    answer = ReceivedAnswer("p", new_reader(), {}, max_bytes=max_bytes, may_call=True)
    received = [answer.take(chunk) for chunk in (*chunks, b"") if not answer.is_over]
    try:
        with TranslateErrors("p"):
            rest = answer.end(lambda usage: usage)
    except LLMError as error:
        return events_of(*received), error
    return events_of(*received, rest), None


@pytest.mark.slow
@pytest.mark.parametrize(("new_reader", "body"), WIRES)
def test_no_part_of_a_call_is_given_out_wherever_the_stream_is_cut(
    new_reader: NewReader, body: bytes
) -> None:
    ends = []
    for cut in range(len(body)):
        events, error = read(new_reader, body[:cut]) if cut else read(new_reader)
        calls = calls_as_documents(events)
        assert calls == WHOLE[: len(calls)]
        if error is None:
            assert calls == WHOLE
            assert isinstance(events[-1], Reply)
            assert events[-1].finish_reason is FinishReason.TOOL_CALLS
            ends.append(cut)
    assert ends
    assert ends == list(range(ends[0], len(body)))


@pytest.mark.parametrize(("new_reader", "body"), WIRES)
def test_the_whole_answer_has_everything_in_order(new_reader: NewReader, body: bytes) -> None:
    events, error = read(new_reader, body)
    assert error is None
    kinds = [type(event).__name__ for event in events]
    with_field = [] if new_reader is GeminiReader else ["MetadataReceived"]
    assert kinds == ["ReasoningDelta", *with_field, "str", "ToolCall", "ToolCall", "Reply"]
    assert calls_as_documents(events) == WHOLE


@pytest.mark.slow
@pytest.mark.parametrize(("new_reader", "body"), WIRES)
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_however_the_bytes_come_the_events_are_the_same(
    new_reader: NewReader, body: bytes, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=20))
    edges = [0, *sorted(cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(edges) if start < end]
    assert read(new_reader, *chunks) == read(new_reader, body)


def endless(wire: str) -> list[bytes]:
    """Return the chunks of a call with 10 MB of arguments."""
    piece = "a" * 1000
    if wire == "openai":
        start = {"index": 0, "id": "a", "function": {"name": "x", "arguments": '{"a":"'}}
        more = {"index": 0, "function": {"arguments": piece}}
        first, other = ({"tool_calls": [each]} for each in (start, more))
        return [openai.event(openai.chunk(first)), *[openai.event(openai.chunk(other))] * 10_000]
    if wire == "anthropic":
        block = {"type": "tool_use", "id": "a", "name": "x", "input": {}}
        part = anthropic.delta(0, type="input_json_delta", partial_json=piece)
        return [anthropic.start(0, block), *[part] * 10_000]
    if wire == "bedrock":
        part = bedrock.delta(0, toolUse={"input": piece})
        return [bedrock.call_start(0, "x", "a"), *[part] * 10_000]
    start = {"name": "x", "willContinue": True}
    argument = {"jsonPath": "$.a", "stringValue": piece, "willContinue": True}
    more = {"partialArgs": [argument], "willContinue": True}
    first, other = (gemini.of_parts([{"functionCall": each}]) for each in (start, more))
    return [gemini.event(first), *[gemini.event(other)] * 10_000]


@pytest.mark.parametrize(
    ("wire", "new_reader"),
    [
        ("openai", OpenAIReader),
        ("gemini", GeminiReader),
        ("anthropic", AnthropicReader),
        ("bedrock", BedrockReader),
    ],
)
def test_ten_megabytes_of_arguments_are_cut_and_no_call(wire: str, new_reader: NewReader) -> None:
    chunks = endless(wire)
    tracemalloc.start()
    try:
        events, error = read(new_reader, *chunks)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error is None
    assert events == [Reply(finish_reason=FinishReason.LENGTH, was_cut_at_limit=True)]
    assert peak_bytes < 4 * (1 << 20)


def test_encrypted_reasoning_and_signatures_without_end_are_cut_too() -> None:
    detail = {"type": "reasoning.encrypted", "data": "a" * 1000, "index": 0}
    encrypted = openai.event(openai.chunk({"reasoning_details": [detail]}))
    signed = gemini.event(gemini.of_parts([{"text": "", "thoughtSignature": "a" * 1000}]))
    block = {"type": "redacted_thinking", "data": "a" * 1000}
    redacted = anthropic.start(0, block) + anthropic.stop(0)
    hidden = bedrock.delta(0, reasoningContent={"redactedContent": "a" * 1000}) + bedrock.stop(0)
    wires = (
        (OpenAIReader, encrypted),
        (GeminiReader, signed),
        (AnthropicReader, redacted),
        (BedrockReader, hidden),
    )
    for new_reader, chunk in wires:
        events, error = read(new_reader, *[chunk] * 50, max_bytes=10_000)
        assert error is None
        assert len(events) <= 11
        assert events[-1] == Reply(finish_reason=FinishReason.LENGTH, was_cut_at_limit=True)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with provider_session(2.0) as session:
        yield session


def client_of(
    session: aiohttp.ClientSession, provider: FakeGemini | FakeOpenAI, name: str
) -> GeminiClient | OpenAICompatibleClient:
    kind = GeminiClient if isinstance(provider, FakeGemini) else OpenAICompatibleClient
    return kind(
        session,
        provider=name,
        model=name,
        upstream="x",
        base_url=provider.base_url,
        api_key="test-key",
        max_answer_bytes=1 << 20,
        cost=lambda usage: usage,
    )


CALLS_ALONE = Says([Calls(*SECOND, id="call_b", in_fragments=True)], FinishReason.TOOL_CALLS)


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("make", [FakeGemini, FakeOpenAI])
async def test_another_route_answers_for_a_cut_call_and_no_call_comes_twice(
    session: aiohttp.ClientSession, make: type[FakeGemini | FakeOpenAI], is_streamed: bool
) -> None:
    other = FakeOpenAI if make is FakeGemini else FakeGemini
    async with make() as first, other() as second:
        path = "/v1beta/models/x:streamGenerateContent"
        rendered = first.render(CALLS_ALONE, Seen(path, {}, {}, {"stream": True}))
        body = b"".join(step for step in rendered.steps if isinstance(step, bytes))
        taken_over = 0
        for cut in range(0, len(body), 15):
            clock = FakeClock()
            first.behaviours.clear()
            second.behaviours.clear()
            first.then(*[Raw([body[:cut], Cut()])] * 2)
            second.then(CALLS_ALONE)
            routes = [
                RouteHarness(
                    clock,
                    model=name,
                    provider=name,
                    inner=client_of(session, provider, name),
                    capabilities=OF_CHATS,
                )
                for name, provider in (("a", first), ("b", second))
            ]
            context = a_chat_context(clock, is_streamed=is_streamed)
            heard = await read_answer(falling_back(clock, *routes), context, PROMPT)
            seen = [event for event in heard.pieces if isinstance(event, ToolCall)]
            assert len(seen) <= 1 or not is_streamed
            assert all((call.name, call.arguments) == SECOND for call in seen)
            if heard.error is None:
                assert len(_last_answer(heard)) == 1
                taken_over += heard.voices[-1] == "b"
            else:
                assert is_streamed
                assert seen  # the call was out, and only the end was cut
        assert taken_over > 5


def _last_answer(heard: Heard) -> list[ToolCall]:
    calls: list[ToolCall] = []
    for event in heard.pieces:
        if isinstance(event, ProviderSelected) and not event.continues:
            calls.clear()
        elif isinstance(event, ToolCall):
            calls.append(event)
    return calls
