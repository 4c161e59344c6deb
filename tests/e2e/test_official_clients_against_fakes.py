"""The fake providers are what they claim to be: the official clients are satisfied with them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import openai
import pytest
from google import genai
from google.genai import errors as genai_errors
from google.genai import types

from domain.entities.reply import FinishReason
from tests.fakes.behaviour import USAGE, Blocks, Breaks, Calls, Raw, Refuses, Says, Thinks
from tests.fakes.gemini import FakeGemini
from tests.fakes.openai import FakeOpenAI
from tests.fakes.openai import event as openai_event

# Google's client derives from aiohttp's session, which warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

MODEL = "gemini-3.8-flash"
QUESTION = "What is the capital of France?"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
async def google() -> AsyncIterator[FakeGemini]:
    async with FakeGemini() as provider:
        yield provider


@pytest.fixture
async def gemini(google: FakeGemini) -> AsyncIterator[genai.client.AsyncClient]:
    options = types.HttpOptions(base_url=google.base_url)
    async with genai.Client(api_key="test-key", http_options=options).aio as client:
        yield client


@pytest.fixture
async def router() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as provider:
        yield provider


@pytest.fixture
async def chat(router: FakeOpenAI) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        api_key="test-key", base_url=router.base_url, max_retries=0
    ) as client:
        yield client


async def test_google_s_client_reads_an_answer(
    google: FakeGemini, gemini: genai.client.AsyncClient
) -> None:
    google.then(Says(["The capital", " is Paris."]))
    config = types.GenerateContentConfig(
        system_instruction="Be short.", temperature=0.5, max_output_tokens=9, seed=1
    )
    answer = await gemini.models.generate_content(model=MODEL, contents=QUESTION, config=config)
    assert answer.text == "The capital is Paris."
    assert answer.candidates
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    counts = answer.usage_metadata
    assert counts is not None
    assert (counts.prompt_token_count, counts.thoughts_token_count) == (15, 72)
    assert (counts.candidates_token_count, counts.total_token_count) == (1, USAGE.total_tokens)
    assert google.seen[0].body["generationConfig"]["maxOutputTokens"] == 9


async def test_google_s_client_reads_a_stream(
    google: FakeGemini, gemini: genai.client.AsyncClient
) -> None:
    google.then(Says(["The capital", " is ", "Paris."]))
    stream = await gemini.models.generate_content_stream(model=MODEL, contents=QUESTION)
    chunks = [chunk async for chunk in stream]
    assert [chunk.text for chunk in chunks if chunk.text] == ["The capital", " is ", "Paris."]
    assert chunks[-1].candidates
    assert chunks[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert chunks[-1].usage_metadata


async def test_google_s_client_sees_blocks(
    google: FakeGemini, gemini: genai.client.AsyncClient
) -> None:
    google.then(Blocks(), Blocks(["To build it"]))
    answer = await gemini.models.generate_content(model=MODEL, contents=QUESTION)
    assert answer.prompt_feedback
    assert answer.prompt_feedback.block_reason is types.BlockedReason.PROHIBITED_CONTENT
    answer = await gemini.models.generate_content(model=MODEL, contents=QUESTION)
    assert answer.candidates
    assert answer.candidates[0].finish_reason is types.FinishReason.SAFETY


@pytest.mark.parametrize(
    ("refuses", "kind", "status"),
    [
        (Refuses(400, reason="bad key"), genai_errors.ClientError, "INVALID_ARGUMENT"),
        (Refuses(429, retry_after_seconds=36), genai_errors.ClientError, "RESOURCE_EXHAUSTED"),
        (Refuses(503), genai_errors.ServerError, "UNAVAILABLE"),
    ],
)
async def test_google_s_client_understands_a_refusal(
    google: FakeGemini,
    gemini: genai.client.AsyncClient,
    refuses: Refuses,
    kind: type[genai_errors.APIError],
    status: str,
) -> None:
    google.then(refuses, refuses)
    with pytest.raises(kind) as raised:
        await gemini.models.generate_content(model=MODEL, contents=QUESTION)
    assert (raised.value.code, raised.value.status) == (refuses.status, status)
    stream = await gemini.models.generate_content_stream(model=MODEL, contents=QUESTION)
    with pytest.raises(kind):
        await anext(stream)


async def test_google_s_client_is_refused_with_another_key(google: FakeGemini) -> None:
    options = types.HttpOptions(base_url=google.base_url)
    async with genai.Client(api_key="other", http_options=options).aio as client:
        with pytest.raises(genai_errors.ClientError, match="API key not valid"):
            await client.models.generate_content(model=MODEL, contents=QUESTION)


async def test_openai_s_client_reads_an_answer(
    router: FakeOpenAI, chat: openai.AsyncOpenAI
) -> None:
    router.then(Says(["The capital", " is Paris."]))
    answer = await chat.chat.completions.create(
        model="openai/x",
        messages=[
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": QUESTION},
        ],
        temperature=0.5,
        max_tokens=9,
    )
    assert answer.choices[0].message.content == "The capital is Paris."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage
    assert answer.usage.total_tokens == USAGE.total_tokens
    assert answer.usage.completion_tokens_details
    assert answer.usage.completion_tokens_details.reasoning_tokens == USAGE.reasoning_tokens


async def test_openai_s_client_reads_a_stream(router: FakeOpenAI, chat: openai.AsyncOpenAI) -> None:
    router.then(Says(["The capital", " is ", "Paris."]))
    stream = await chat.chat.completions.create(
        model="openai/x",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(text for text in texts if text) == "The capital is Paris."
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage
    assert chunks[-1].usage.total_tokens == USAGE.total_tokens


@pytest.mark.parametrize(
    ("refuses", "kind"),
    [
        (Refuses(400), openai.BadRequestError),
        (Refuses(401, reason="bad key"), openai.AuthenticationError),
        (Refuses(404), openai.NotFoundError),
        (Refuses(429, retry_after_seconds=3), openai.RateLimitError),
        (Refuses(503), openai.InternalServerError),
        (Blocks(), openai.PermissionDeniedError),
    ],
)
async def test_openai_s_client_understands_a_refusal(
    router: FakeOpenAI,
    chat: openai.AsyncOpenAI,
    refuses: Refuses,
    kind: type[openai.APIStatusError],
) -> None:
    router.then(refuses)
    with pytest.raises(kind) as raised:
        await ask(chat)
    if isinstance(refuses, Refuses) and refuses.retry_after_seconds:
        assert raised.value.response.headers["retry-after"] == "3"


async def test_openai_s_client_reads_the_code_of_a_prompt_too_long(
    router: FakeOpenAI, chat: openai.AsyncOpenAI
) -> None:
    router.then(Refuses(400, reason="too long"))
    with pytest.raises(openai.BadRequestError) as raised:
        await ask(chat)
    assert raised.value.code == "context_length_exceeded"


async def test_openai_s_client_sees_an_error_in_mid_stream_and_a_cut(
    router: FakeOpenAI, chat: openai.AsyncOpenAI
) -> None:
    router.then(Raw([openai_event({"error": {"code": 502, "message": "down"}})]))
    with pytest.raises(openai.APIError, match="down"):
        await read(chat)
    router.then(Breaks(["The capital"]))
    with pytest.raises(openai.APIConnectionError):
        await read(chat)


CALL = Calls("get_weather", '{"city":"Paris"}', id="call_1", signature="c2lnbmF0dXJl")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


async def test_google_s_client_calls_tools_and_sends_the_signature_back(
    google: FakeGemini, gemini: genai.client.AsyncClient
) -> None:
    google.then(Says([Thinks("Paris."), CALL]), Says(["Sunny."]))
    declaration = types.FunctionDeclaration(name="get_weather", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declaration])],
        thinking_config=types.ThinkingConfig(include_thoughts=True),
    )
    asked = types.Content(role="user", parts=[types.Part(text=QUESTION)])
    answer = await gemini.models.generate_content(model=MODEL, contents=[asked], config=config)
    assert answer.function_calls
    call = answer.function_calls[0]
    assert (call.id, call.name, call.args) == ("call_1", "get_weather", {"city": "Paris"})
    assert answer.candidates
    said = answer.candidates[0].content
    assert said
    assert said.parts
    assert said.parts[0].thought
    said.parts = said.parts[1:]
    response = types.FunctionResponse(id=call.id, name=call.name, response={"output": "22C"})
    result = types.Content(role="user", parts=[types.Part(function_response=response)])
    contents = [asked, said, result]
    answer = await gemini.models.generate_content(model=MODEL, contents=contents, config=config)  # type: ignore[arg-type]
    assert answer.text == "Sunny."
    said.parts[0].thought_signature = None
    with pytest.raises(genai_errors.ClientError, match="missing a thought_signature"):
        await gemini.models.generate_content(model=MODEL, contents=contents, config=config)  # type: ignore[arg-type]
    with pytest.raises(genai_errors.ClientError, match="without function responses"):
        await gemini.models.generate_content(model=MODEL, contents=contents[:2], config=config)  # type: ignore[arg-type]


@pytest.mark.parametrize("in_fragments", [False, True])
async def test_openai_s_client_calls_tools(
    router: FakeOpenAI, chat: openai.AsyncOpenAI, in_fragments: bool
) -> None:
    call = replace(CALL, in_fragments=in_fragments)
    says = Says([Thinks("Paris."), call], finish=FinishReason.TOOL_CALLS)
    router.then(says, says, Says(["Sunny."]))
    tools: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    answer = await chat.chat.completions.create(model="x", messages=messages, tools=tools)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls
    async with chat.chat.completions.stream(model="x", messages=messages, tools=tools) as stream:
        streamed = await stream.get_final_completion()
    assert streamed.choices[0].message.tool_calls
    function: Any = streamed.choices[0].message.tool_calls[0].function  # type: ignore[union-attr]
    assert (function.name, function.arguments) == ("get_weather", CALL.arguments)
    messages.append({"role": "assistant", "tool_calls": [CALLED]})
    with pytest.raises(openai.BadRequestError, match="did not have response messages: call_1"):
        await chat.chat.completions.create(model="x", messages=messages, tools=tools)
    messages.append({"role": "tool", "tool_call_id": "call_1", "content": "22C"})
    answer = await chat.chat.completions.create(model="x", messages=messages, tools=tools)
    assert answer.choices[0].message.content == "Sunny."


CALLED = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": CALL.arguments},
}


async def ask(chat: openai.AsyncOpenAI) -> None:
    await chat.chat.completions.create(
        model="openai/x", messages=[{"role": "user", "content": QUESTION}]
    )


async def read(chat: openai.AsyncOpenAI) -> None:
    stream = await chat.chat.completions.create(
        model="openai/x", messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    async for _ in stream:
        pass
