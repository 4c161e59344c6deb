"""What a route learns from refusals, and what it does not."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from domain.entities.items import ProviderMetadata, Reasoning, ToolCall, ToolResult
from domain.entities.prompt import Message, Prompt, PromptCaching, Role
from domain.entities.reply import ProviderSelected, Reply
from domain.entities.tools import ReasoningEffort, Tool
from domain.exceptions import LLMError, LLMRejected
from domain.interfaces.llm_client import LLMClient
from infra.llm.providers.gemini.client import GeminiClient
from infra.llm.providers.openai.client import OpenAICompatibleClient
from infra.llm.transport.adaptable_request import AdaptableRequest, RouteDialect
from infra.llm.transport.dialect import OPENAI_ADAPTATIONS, Dialect
from infra.llm.transport.errors.body import WireError
from infra.llm.transport.http_stream import provider_session
from tests.fakes import gemini, openai
from tests.fakes.behaviour import Behaviour, Raw, Says
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.gemini import FakeGemini
from tests.fakes.http_provider import Seen
from tests.fakes.openai import FakeOpenAI

CANARY = "canary-that-must-not-leak"
HI = Says(["Hello", " world"])
PROMPT = Prompt.from_text("Hi", system="Be short.", max_output_tokens=7)
NO_OPTIONS = openai.error(400, message=f"Unknown parameter: 'stream_options'. {CANARY}")
NO_SYSTEM = openai.error(400, message=f"System role not supported {CANARY}")
NO_SPACE = openai.error(400, message="final assistant content cannot end with trailing whitespace")


class Strict(FakeOpenAI):
    """Refuses every request that holds what it does not know."""

    def __init__(self, refuses: Callable[[Any], Behaviour | None]) -> None:
        super().__init__()
        self.refuses = refuses

    def _default(self, seen: Seen) -> Behaviour:
        return self.refuses(seen.body) or HI


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with provider_session(2.0) as session:
        yield session


def gemini_client_of(
    session: aiohttp.ClientSession, provider: FakeGemini, upstream: str = "gemini-3.1-pro-preview"
) -> GeminiClient:
    return GeminiClient(
        session,
        provider="p",
        model="m",
        upstream=upstream,
        base_url=provider.base_url,
        api_key="test-key",
        max_answer_bytes=1024,
        cost=lambda usage: usage,
    )


def client_of(
    session: aiohttp.ClientSession, provider: FakeOpenAI, dialect: Dialect | None = None
) -> OpenAICompatibleClient:
    return OpenAICompatibleClient(
        session,
        provider="p",
        model="m",
        upstream="x",
        base_url=provider.base_url,
        api_key="test-key",
        max_answer_bytes=1024,
        cost=lambda usage: usage,
        dialect=dialect,
    )


async def text_of(client: LLMClient, prompt: Prompt = PROMPT) -> str:
    async with asyncio.timeout(120):
        pieces: list[ProviderSelected | str | Reply] = [
            piece async for piece in client.stream(prompt, a_chat_context())
        ]
    assert [type(piece) for piece in pieces].count(ProviderSelected) == 1
    return "".join(piece for piece in pieces if isinstance(piece, str))


@pytest.mark.seen("B1")
async def test_what_was_learnt_is_logged_once_without_a_word_of_the_provider(
    session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with Strict(lambda body: NO_OPTIONS if "stream_options" in body else None) as provider:
        client = client_of(session, provider)
        for _ in range(3):
            assert await text_of(client) == "Hello world"
        assert len(provider.seen) == 4
    assert [record.getMessage() for record in caplog.records] == [
        "requests to p m are sent without stream_options from now on"
    ]
    assert CANARY not in caplog.text


async def test_a_server_that_does_not_know_cache_keys_gets_none_from_then_on(
    session: aiohttp.ClientSession,
) -> None:
    unknown = openai.error(
        400, message="Unknown parameter: 'prompt_cache_key'.", param="prompt_cache_key"
    )
    prompt = replace(PROMPT, caching=PromptCaching(key="k"))
    async with Strict(lambda body: unknown if "prompt_cache_key" in body else None) as provider:
        client = client_of(session, provider, Dialect(prompt_cache_key=True))
        for _ in range(2):
            assert await text_of(client, prompt) == "Hello world"
        assert ["prompt_cache_key" in seen.body for seen in provider.seen] == [True, False, False]


@pytest.mark.seen("B1")
async def test_first_calls_made_at_once_all_learn_and_none_fails(
    session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def refuses(body: Any) -> Behaviour | None:
        if "stream_options" in body:
            return NO_OPTIONS
        return NO_SYSTEM if body["messages"][0]["role"] == "system" else None

    async with Strict(refuses) as provider:
        client = client_of(session, provider)
        answers = await asyncio.gather(*(text_of(client) for _ in range(20)))
        assert set(answers) == {"Hello world"}
        assert len(provider.seen) <= 60
        seen = len(provider.seen)
        assert await text_of(client) == "Hello world"
        assert len(provider.seen) == seen + 1
    assert len(caplog.records) == 2


@pytest.mark.seen("B1")
async def test_a_route_learns_nothing_for_another(session: aiohttp.ClientSession) -> None:
    async with Strict(lambda body: NO_OPTIONS if "stream_options" in body else None) as provider:
        await text_of(client_of(session, provider))
        await text_of(client_of(session, provider))
        assert len(provider.seen) == 4


@pytest.mark.seen("B1")
async def test_a_healthy_server_is_asked_once_and_with_everything(
    session: aiohttp.ClientSession,
) -> None:
    async with FakeOpenAI() as provider:
        client = client_of(session, provider)
        for _ in range(3):
            await text_of(client)
        assert len(provider.seen) == 3
        assert {seen.body["stream_options"]["include_usage"] for seen in provider.seen} == {True}


@pytest.mark.seen("B4")
async def test_a_refusal_for_another_reason_that_names_a_field_teaches_nothing(
    session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    odd = openai.error(400, message="'END stream_options system role not supported' is no stop")
    async with Strict(lambda body: odd if "stop" in body else None) as provider:
        client = client_of(session, provider)
        prompt = Prompt(messages=PROMPT.messages, system="Be short.", stop=("END",))
        with pytest.raises(LLMRejected):
            await text_of(client, prompt)
        calls = len(provider.seen)
        assert calls <= 3
        assert await text_of(client) == "Hello world"
        assert "stream_options" in provider.seen[-1].body
        assert provider.seen[-1].body["messages"][0]["role"] == "system"
    assert not caplog.records


@pytest.mark.seen("B2")
async def test_a_server_that_contradicts_itself_is_not_asked_for_ever(
    session: aiohttp.ClientSession,
) -> None:
    def refuses(body: Any) -> Raw:
        field = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
        return openai.error(
            400,
            message=f"Unsupported parameter: {field}",
            code="unsupported_parameter",
            param=field,
        )

    async with Strict(refuses) as provider:
        with pytest.raises(LLMError):
            await text_of(client_of(session, provider))
        assert len(provider.seen) == 2


@pytest.mark.seen("B2")
@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
        "invalid argument: max_tokens must be at most 4096",
        "max_tokens above 8192 is not supported",
        "Invalid 'max_tokens': integer above maximum value.",
    ],
)
async def test_a_bound_that_is_too_large_is_not_renamed(
    session: aiohttp.ClientSession, message: str
) -> None:
    async with Strict(lambda body: openai.error(400, message=message)) as provider:
        with pytest.raises(LLMRejected):
            await text_of(client_of(session, provider))
        assert len(provider.seen) == 1


@pytest.mark.seen("B4")
async def test_instructions_are_folded_into_the_first_message_of_the_user(
    session: aiohttp.ClientSession,
) -> None:
    messages = (
        Message(role=Role.ASSISTANT, text="Welcome."),
        Message(role=Role.USER, text="one"),
        Message(role=Role.ASSISTANT, text="1"),
        Message(role=Role.USER, text="two"),
    )
    async with FakeOpenAI() as provider:
        client = client_of(session, provider, Dialect(system_role=False))
        await text_of(client, Prompt(messages=messages, system="Be short."))
        (seen,) = provider.seen
    assert [message["content"] for message in seen.body["messages"]] == [
        "Welcome.",
        "Be short.\n\none",
        "1",
        "two",
    ]


def going_on_from(text: str) -> Prompt:
    return Prompt(messages=(*PROMPT.messages, Message(role=Role.ASSISTANT, text=text)))


@pytest.mark.seen("B13")
@pytest.mark.parametrize(
    ("prefill", "pieces", "joined"),
    [
        ("Once ", [" upon"], "upon"),
        ("Once ", ["upon"], "upon"),
        ("Once ", [" ", " ", "upon"], " upon"),
        ("Once \n", [" ", "\n", "upon"], "upon"),
        ("Once \n", [" upon"], "upon"),
        ("Once\n", [" upon"], " upon"),
        ("Once\t ", ["\t", "x"], "x"),
        ("Once ", ["\n\nupon"], "\n\nupon"),
        ("Once ", [" upon ", " a"], "upon  a"),
        ("Once\u00a0", ["\u00a0upon"], "upon"),
        (" ", ["Once"], "Once"),
        ("Once", [" upon"], " upon"),
    ],
)
async def test_a_resumed_text_is_joined_without_loss_or_doubling(
    session: aiohttp.ClientSession, prefill: str, pieces: list[str], joined: str
) -> None:
    def refuses(body: Any) -> Behaviour:
        last = body["messages"][-1]
        if last["role"] == "assistant" and last["content"] != last["content"].rstrip():
            return NO_SPACE
        return Says(pieces)

    async with Strict(refuses) as provider:
        client = client_of(session, provider)
        for _ in range(2):
            assert await text_of(client, going_on_from(prefill)) == joined
        assert len(provider.seen) == (2 if prefill == prefill.rstrip() else 3)
        assert all(message["content"] for message in provider.seen[-1].body["messages"])


@pytest.mark.seen("B13")
@pytest.mark.parametrize("has_text", [False, True])
async def test_a_refusal_inside_a_200_is_heeded_only_where_nothing_was_said(
    session: aiohttp.ClientSession, has_text: bool
) -> None:
    said = openai.event(openai.chunk({"content": "Once"})) if has_text else b""
    refusal = openai.event({"error": {"code": 400, "message": "ends in trailing whitespace"}})
    async with FakeOpenAI(Raw([said + refusal]), Says(["upon"])) as provider:
        client = client_of(session, provider)
        if has_text:
            with pytest.raises(LLMRejected):
                await text_of(client, going_on_from("Once "))
        else:
            assert await text_of(client, going_on_from("Once ")) == "upon"
        assert len(provider.seen) == 2 - has_text


@pytest.mark.seen("B13")
async def test_a_server_that_takes_white_space_is_sent_the_text_exactly(
    session: aiohttp.ClientSession,
) -> None:
    async with FakeOpenAI(Says([" upon"])) as provider:
        assert await text_of(client_of(session, provider), going_on_from("Once ")) == " upon"
        (seen,) = provider.seen
    assert seen.body["messages"][-1] == {"role": "assistant", "content": "Once "}


@pytest.mark.seen("B12")
@pytest.mark.parametrize(
    ("seed", "sent"),
    [(0, 0), (-1, -1), (2**31 - 1, 2**31 - 1), (2**31, 0), (2**40 + 5, 5), (-(2**40) - 3, 2**31 - 3)],
)  # fmt: skip
async def test_gemini_is_sent_a_seed_of_32_bits(
    session: aiohttp.ClientSession, seed: int, sent: int
) -> None:
    async with FakeGemini() as provider:
        client = gemini_client_of(session, provider, "x")
        await text_of(client, Prompt(messages=PROMPT.messages, seed=seed))
        (seen,) = provider.seen
    assert seen.body["generationConfig"]["seed"] == sent


def a_request(prompt: Prompt, **stated: Any) -> AdaptableRequest:
    route = RouteDialect(
        Dialect(**stated), OPENAI_ADAPTATIONS, lambda *_: b"", provider="p", model="m"
    )
    return AdaptableRequest(route, prompt)


def says(message: str, param: str | None = None) -> WireError:
    return WireError.parse({"error": {"message": message, "param": param}})


SYSTEM_REFUSALS = [
    "System role not supported",
    "This model does not support system messages",
    "system prompts are not supported",
    "unknown variant `system`, expected `user` or `assistant`",
    "'system' is not one of ['user', 'assistant'] - 'messages.0.role'",
    'Unexpected role "system"',
    "Only user and assistant roles are supported!",
    "Conversation roles must alternate user/assistant/user/assistant/...",
    "chat template rejected the request: Unexpected message role.",
    "Input should be 'user' or 'assistant'",
    "Developer instruction is not enabled for models/gemma-3-27b-it",
]


@pytest.mark.seen("B4")
@pytest.mark.parametrize("message", SYSTEM_REFUSALS)
def test_a_refused_role_is_read_in_many_words_and_only_where_one_was_sent(message: str) -> None:
    assert a_request(PROMPT).adapt(says(message))
    assert not a_request(Prompt.from_text("Hi")).adapt(says(message))


@pytest.mark.seen("B3")
@pytest.mark.parametrize(
    "message",
    [
        "Your organization must be verified to stream this model.",
        "Streaming is not supported",
        "streaming is not yet supported for this model",
        "This model does not support streaming.",
        "Unsupported value: 'stream' does not support true with this model.",
        "stream must be false",
    ],
)
def test_a_refused_stream_is_read_in_many_words(message: str) -> None:
    assert a_request(PROMPT).adapt(says(message))
    assert not a_request(PROMPT, stream=False).adapt(says(message))


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Invalid 'temperature': decimal above maximum value.",
        "upstream connect error",
        "internal system error",
        "The model is overloaded",
        "Unknown parameter: 'top_p'",
        "unknown field `top_p`, expected one of `stream`, `stream_options`, `seed`, `max_tokens`",
        "trailing characters at line 1",
    ],
)
def test_other_refusals_ask_for_no_change(message: str) -> None:
    prompt = Prompt(messages=PROMPT.messages, system="x", max_output_tokens=7, seed=7)
    assert not a_request(prompt).adapt(says(message))


HIGH = replace(PROMPT, reasoning_effort=ReasoningEffort.HIGH)
EXTRA_HIGH = replace(PROMPT, reasoning_effort=ReasoningEffort.EXTRA_HIGH)
NO_EFFORT = openai.error(
    400, message="Unrecognized request argument supplied: reasoning_effort", param=None
)
NO_EXTRA = openai.error(
    400,
    message="Unsupported value: 'xhigh' is not supported with this model.",
    param="reasoning_effort",
    code="unsupported_value",
)


@pytest.mark.parametrize(
    ("refused", "prompt", "lasts"), [(NO_EFFORT, HIGH, True), (NO_EXTRA, EXTRA_HIGH, False)]
)
async def test_an_effort_is_left_out_and_for_good_only_where_the_field_is_unknown(
    session: aiohttp.ClientSession, refused: Raw, prompt: Prompt, lasts: bool
) -> None:
    def refuses(body: Any) -> Behaviour | None:
        value = body.get("reasoning_effort")
        return refused if value and (lasts or value == "xhigh") else None

    async with Strict(refuses) as provider:
        client = client_of(session, provider)
        assert await text_of(client, prompt) == "Hello world"
        assert await text_of(client, HIGH) == "Hello world"
        sent = [seen.body.get("reasoning_effort") for seen in provider.seen]
    assert sent == (["high", None, None] if lasts else ["xhigh", None, "high"])


async def test_gemini_is_asked_without_thinking_where_a_model_has_none(
    session: aiohttp.ClientSession,
) -> None:
    async with FakeGemini() as provider:
        refused = gemini.error(400, message="Thinking is not supported by this model.")
        provider.then(refused)
        client = gemini_client_of(session, provider, "gemini-2.0-flash")
        assert await text_of(client, HIGH) == "Hello world"
        configs = [seen.body["generationConfig"] for seen in provider.seen]
        assert ["thinkingConfig" in config for config in configs] == [True, False]


class LevelRefusing(FakeGemini):
    """Refuses thinking levels that the model does not have."""

    def __init__(self, *levels: str) -> None:
        super().__init__()
        self._levels = levels

    def _default(self, seen: Seen) -> Behaviour:
        level = seen.body["generationConfig"].get("thinkingConfig", {}).get("thinkingLevel")
        if level not in self._levels:
            return HI
        message = f"Thinking level {level} is not supported for this model. "
        return gemini.error(400, message=f"{message}Please retry with other thinking level.")


def thinking_of(seen: Seen) -> tuple[str | None, bool]:
    """Return the level that was sent, and whether thoughts were requested."""
    thinking = seen.body["generationConfig"].get("thinkingConfig", {})
    return thinking.get("thinkingLevel"), "includeThoughts" in thinking


@pytest.mark.parametrize(
    ("effort", "has_thoughts"), [(ReasoningEffort.NONE, False), (ReasoningEffort.MINIMAL, True)]
)
async def test_gemini_is_sent_its_next_level_where_a_model_has_no_minimal_one(
    session: aiohttp.ClientSession, effort: ReasoningEffort, has_thoughts: bool
) -> None:
    least = replace(PROMPT, reasoning_effort=effort)
    async with LevelRefusing("MINIMAL") as provider:
        client = gemini_client_of(session, provider)
        for prompt in (least, HIGH, least):
            assert await text_of(client, prompt) == "Hello world"
        assert [thinking_of(seen) for seen in provider.seen] == [
            ("MINIMAL", has_thoughts),
            ("LOW", has_thoughts),
            ("HIGH", True),
            ("LOW", has_thoughts),
        ]


async def test_gemini_is_sent_other_levels_after_it_refused_one(
    session: aiohttp.ClientSession,
) -> None:
    medium = replace(PROMPT, reasoning_effort=ReasoningEffort.MEDIUM)
    async with LevelRefusing("MEDIUM") as provider:
        client = gemini_client_of(session, provider)
        for prompt in (medium, HIGH):
            assert await text_of(client, prompt) == "Hello world"
        levels = [thinking_of(seen)[0] for seen in provider.seen]
    assert levels == ["MEDIUM", None, "HIGH"]


CALL = ToolCall(id="call_abcdefgh", name="x", arguments="{}")
FIELD = ProviderMetadata(kind="openai", family="", value='{"reasoning_field":"reasoning"}')
AFTER_A_CALL = Prompt(
    messages=(
        Message(role=Role.USER, text="Hi"),
        Message(role=Role.ASSISTANT, text="", items=(Reasoning(text="hm", metadata=FIELD), CALL)),
        Message(role=Role.USER, text="", items=(ToolResult(call_id=CALL.id, output="ok"),)),
    ),
    tools=(Tool(name="x"),),
    parallel_tool_calls=False,
)


@pytest.mark.parametrize(
    ("refused", "place", "before", "after"),
    [
        (
            "messages.1.reasoning: Extra inputs are not permitted",
            lambda body: body["messages"][1].get("reasoning"),
            "hm",
            None,
        ),
        (
            "The reasoning_content in the thinking mode must be passed back to the API.",
            lambda body: body["messages"][1].get("reasoning_content"),
            None,
            "hm",
        ),
        (
            "Tool call id was call_abcdefgh but must be a-z, A-Z, 0-9, with a length of 9.",
            lambda body: len(body["messages"][1]["tool_calls"][0]["id"]),
            13,
            9,
        ),
        (
            "Unknown parameter: 'parallel_tool_calls'.",
            lambda body: body.get("parallel_tool_calls"),
            False,
            None,
        ),
    ],
)
async def test_tools_and_reasoning_are_sent_as_a_refusal_demands(
    session: aiohttp.ClientSession,
    refused: str,
    place: Callable[[Any], Any],
    before: Any,
    after: Any,
) -> None:
    async with FakeOpenAI(openai.error(400, message=refused)) as provider:
        client = client_of(session, provider)
        for _ in range(2):
            assert await text_of(client, AFTER_A_CALL) == "Hello world"
        assert [place(seen.body) for seen in provider.seen] == [before, after, after]
