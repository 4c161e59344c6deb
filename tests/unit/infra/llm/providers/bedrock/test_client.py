"""Calls of Amazon Bedrock: address, headers, limits, what it refuses, and the models file."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from domain.entities.items import Attachment, Reasoning, ToolCall, ToolResult
from domain.entities.prompt import Message, Prompt, PromptCaching, Role
from domain.entities.reply import AnswerEvent, FinishReason, ProviderSelected, Reply
from domain.entities.tools import OF_CHATS, Capability, ReasoningEffort, ResponseFormat, Tool
from domain.exceptions import LLMError, LLMRateLimited, LLMRejected, LLMUnavailable
from domain.use_cases.record_answer import AnswerRecorder
from infra.clock import SystemClock
from infra.llm.catalogue.loader import load_catalogue
from infra.llm.chain import open_llm
from infra.llm.providers.bedrock.client import BedrockClient
from infra.llm.providers.bedrock.identity import AwsIdentity, default_url
from infra.llm.providers.bedrock.signer import BedrockSigner
from infra.llm.transport.http_stream import provider_session
from infra.settings import Settings
from tests.fakes.aws_credentials import FakeCredentials
from tests.fakes.bedrock import REGION, FakeBedrock, error
from tests.fakes.behaviour import Calls, Hangs, Refuses, Says, Thinks
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.clock import FakeClock
from tests.fakes.received import text_of
from tests.unit.infra.llm.resilience.parts import RecordingObserver, read_answer

PROMPT = Prompt.from_text("Hi")
CLAUDE = "us.anthropic.claude-sonnet-4-6"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/mi1dadi0g15f"
CALLS_TOOL = Says([Thinks("Hm."), Calls("x", "{}", id="tooluse_1")], FinishReason.TOOL_CALLS)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with provider_session(2.0) as session:
        yield session


@pytest.fixture
async def provider() -> AsyncIterator[FakeBedrock]:
    async with FakeBedrock() as provider:
        yield provider


def signer_of(provider: FakeBedrock) -> BedrockSigner:
    own = provider.own
    identity = AwsIdentity(
        region=REGION, access_key_id=own.access_key, secret_access_key=own.secret
    )
    return BedrockSigner(identity, provider="bedrock")


def client_of(
    session: aiohttp.ClientSession, provider: FakeBedrock, **options: Any
) -> BedrockClient:
    given: dict[str, Any] = {
        "provider": "bedrock",
        "model": "m",
        "upstream": CLAUDE,
        "base_url": provider.base_url + "/",
        "authorization": signer_of(provider),
        "max_answer_bytes": 1024,
        "cost": lambda usage: usage,
        "family": "f",
    }
    return BedrockClient(session, **given | options)


async def events_of(client: BedrockClient, prompt: Prompt = PROMPT) -> list[AnswerEvent]:
    async with asyncio.timeout(120):
        return [event async for event in client.stream(prompt, a_chat_context())]


@pytest.mark.parametrize(
    ("upstream", "path"),
    [
        ("us.amazon.nova-micro-v1:0", "/model/us.amazon.nova-micro-v1%3A0/converse-stream"),
        (
            PROFILE,
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fmi1dadi0g15f"
            "/converse-stream",
        ),
    ],
)
async def test_it_is_asked_at_the_address_of_the_model_with_a_signature(
    session: aiohttp.ClientSession, provider: FakeBedrock, upstream: str, path: str
) -> None:
    first, *_ = await events_of(client_of(session, provider, upstream=upstream))
    assert first == ProviderSelected(provider="bedrock", model="m")
    (seen,) = provider.seen
    assert seen.raw_path == path
    assert provider.model_of(seen) == upstream
    assert seen.headers["Accept"] == "application/vnd.amazon.eventstream, application/json"
    assert provider.signers == [provider.own]


async def test_a_key_of_bedrock_is_sent_instead_of_a_signature(
    session: aiohttp.ClientSession, provider: FakeBedrock
) -> None:
    await events_of(client_of(session, provider, api_key="test-key"))
    assert provider.seen[0].headers["Authorization"] == "Bearer test-key"
    assert "X-Amz-Date" not in provider.seen[0].headers


async def test_an_altered_request_is_refused_by_the_fake(
    session: aiohttp.ClientSession, provider: FakeBedrock
) -> None:
    identity = AwsIdentity(
        region="eu-west-1",
        access_key_id=provider.own.access_key,
        secret_access_key=provider.own.secret,
    )
    signer = BedrockSigner(identity, provider="bedrock")
    with pytest.raises(LLMError):
        await events_of(client_of(session, provider, authorization=signer))


SCHEMA = replace(PROMPT, response_format=ResponseFormat(schema='{"type":"object"}'))
SAMPLED = replace(PROMPT, temperature=0.5, top_p=0.9)
EFFORT = replace(PROMPT, reasoning_effort=ReasoningEffort.EXTRA_HIGH)
INSTRUCTED = replace(PROMPT, system="Be short.")


@pytest.mark.parametrize(
    ("prompt", "message", "field", "is_left_out"),
    [
        (SCHEMA, "This model doesn't support the outputConfig.textFormat field.", "outputConfig", True),
        (SCHEMA, "The model returned the following errors: output_config.format: Extra inputs are not permitted", "outputConfig", True),
        (SCHEMA, "This model does not support structured output.", "outputConfig", True),
        (EFFORT, "This model doesn't support the outputConfig.effort field.", "outputConfig", True),
        (EFFORT, "This model does not support the effort parameter.", "outputConfig", True),
        (EFFORT, "adaptive thinking is not supported on this model", "additionalModelRequestFields", True),
        (SAMPLED, "The model returned the following errors: `temperature` is deprecated for this model.", "inferenceConfig", True),
        (SAMPLED, "This model doesn't support the topP field.", "inferenceConfig", True),
        (SAMPLED, "The model returned the following errors: `temperature` and `top_p` cannot both be specified for this model. Please use only one.", "inferenceConfig", False),
        (INSTRUCTED, "This model doesn't support system messages. Try again without a system message or use a model that supports system messages.", "system", True),
    ],
)  # fmt: skip
async def test_what_a_model_refuses_is_left_out_from_then_on(
    session: aiohttp.ClientSession,
    provider: FakeBedrock,
    prompt: Prompt,
    message: str,
    field: str,
    is_left_out: bool,
) -> None:
    client = client_of(session, provider)
    provider.then(error(400, message=message))
    for _ in range(2):
        assert text_of((await events_of(client, prompt))[1:-1]) == "Hello world"
    first, *others = (seen.body for seen in provider.seen)
    assert field in first
    assert len(others) == 2
    for body in others:
        assert (field not in body) is is_left_out
        assert body.get("inferenceConfig", {}).keys() <= {"temperature"}


MARKED = replace(PROMPT, system="Be short.", caching=PromptCaching(key="k"))


@pytest.mark.parametrize(
    ("upstream", "stated", "sent"),
    [
        (CLAUDE, None, [True]),
        (CLAUDE, False, [False]),
        ("us.deepseek.r1-v1:0", None, [False]),
        (PROFILE, None, [False]),
        ("us.deepseek.r1-v1:0", True, [True, False, False]),
    ],
)
async def test_points_of_the_cache_go_to_models_that_know_them(
    session: aiohttp.ClientSession,
    provider: FakeBedrock,
    upstream: str,
    stated: bool | None,
    sent: list[bool],
) -> None:
    client = client_of(session, provider, upstream=upstream, cache_points=stated)
    for _ in range(2 if len(sent) > 1 else 1):
        assert text_of((await events_of(client, MARKED))[1:-1]) == "Hello world"
    assert ["cachePoint" in str(seen.body) for seen in provider.seen] == sent


async def test_points_that_are_refused_once_are_sent_with_the_next_request(
    session: aiohttp.ClientSession, provider: FakeBedrock
) -> None:
    client = client_of(session, provider)
    provider.then(error(400, message="system.1.cache_control.ttl: a ttl='1h' must not come after"))
    for _ in range(2):
        await events_of(client, MARKED)
    assert ["cachePoint" in str(seen.body) for seen in provider.seen] == [True, False, True]


async def test_strict_tools_are_sent_as_plain_ones_where_they_are_refused(
    session: aiohttp.ClientSession, provider: FakeBedrock
) -> None:
    client = client_of(session, provider)
    provider.then(error(400, message="This model doesn't support the strict field."))
    await events_of(client, replace(PROMPT, tools=(Tool(name="x", is_strict=True),)))
    specs = [seen.body["toolConfig"]["tools"][0]["toolSpec"] for seen in provider.seen]
    assert ["strict" in spec for spec in specs] == [True, False]


async def test_a_model_without_tools_in_streams_answers_at_once(
    session: aiohttp.ClientSession, provider: FakeBedrock
) -> None:
    client = client_of(session, provider)
    provider.then(
        error(400, message="This model doesn't support tool use in streaming mode."), CALLS_TOOL
    )
    events = await events_of(client, replace(PROMPT, tools=(Tool(name="x"),)))
    assert [event for event in events if isinstance(event, ToolCall)] == [
        ToolCall(id="tooluse_1", name="x", arguments="{}")
    ]
    await events_of(client)
    assert [seen.raw_path.rpartition("/")[2] for seen in provider.seen] == [
        "converse-stream",
        "converse",
        "converse",
    ]


async def test_a_partial_answer_ends_without_white_space_and_is_joined(
    session: aiohttp.ClientSession, provider: FakeBedrock
) -> None:
    provider.then(Says([" Paris", "."]))
    messages = (*PROMPT.messages, Message(role=Role.ASSISTANT, text="It is "))
    events = await events_of(client_of(session, provider), replace(PROMPT, messages=messages))
    assert text_of(events[1:-1]) == "Paris."


async def test_reasoning_goes_back_to_its_family_and_to_no_other(
    session: aiohttp.ClientSession, provider: FakeBedrock
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
        Message(role=Role.USER, text="", items=(ToolResult(call_id="tooluse_1", output="22C"),)),
    )
    following = replace(asked, messages=messages)
    for family in ("f", "another"):
        await events_of(client_of(session, provider, family=family), following)
    sent = [seen.body["messages"][1]["content"] for seen in provider.seen[1:]]
    assert [[next(iter(block)) for block in content] for content in sent] == [
        ["reasoningContent", "toolUse"],
        ["toolUse"],
    ]


async def test_calls_come_back_under_the_caller_s_names(
    session: aiohttp.ClientSession, provider: FakeBedrock
) -> None:
    client = client_of(session, provider)
    asked = replace(PROMPT, tools=(Tool(name="files.read"), Tool(name="y")))
    await events_of(client, asked)
    spec = provider.seen[0].body["toolConfig"]["tools"][0]["toolSpec"]
    provider.then(Says([Calls(spec["name"], "{}", id="tooluse_1")], FinishReason.TOOL_CALLS))
    (call,) = [event for event in await events_of(client, asked) if isinstance(event, ToolCall)]
    assert (spec["name"] == call.name, call.name) == (False, "files.read")


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("ModelNotReadyException", 429, LLMRateLimited),
        ("ModelErrorException", 424, LLMUnavailable),
        ("ModelTimeoutException", 408, LLMUnavailable),
        ("InternalServerException", 500, LLMUnavailable),
        ("ServiceUnavailableException", 503, LLMUnavailable),
        ("ServiceQuotaExceededException", 400, LLMRateLimited),
    ],
)
async def test_refusals_that_pass_may_be_tried_again(
    session: aiohttp.ClientSession,
    provider: FakeBedrock,
    kind: str,
    status: int,
    expected: type[LLMError],
) -> None:
    provider.then(error(status, kind=kind))
    with pytest.raises(expected) as raised:
        await events_of(client_of(session, provider))
    assert raised.value.is_retryable
    assert raised.value.allows_fallback


async def test_an_attachment_that_cannot_be_sent_reaches_no_provider(
    session: aiohttp.ClientSession, provider: FakeBedrock
) -> None:
    item = Attachment(media_type="image/png", url="https://example.com/a.png")
    prompt = Prompt(messages=(Message(role=Role.USER, text="", items=(item,)),))
    with pytest.raises(LLMRejected):
        await events_of(client_of(session, provider), prompt)
    assert provider.seen == []


async def test_an_answer_that_is_too_long_is_cut(
    session: aiohttp.ClientSession, provider: FakeBedrock
) -> None:
    provider.then(Says(["a" * 600] * 3))
    *events, reply = await events_of(client_of(session, provider))
    assert len(text_of(events[1:])) == 1024
    assert isinstance(reply, Reply)
    assert reply.was_cut_at_limit


MODELS = """
default = "claude"

[providers.here]
kind = "bedrock"
region = "us-east-1"
base_url = "{here}"

[providers.there]
kind = "bedrock"
region = "eu-west-1"
role_arn = "arn:aws:iam::123456789012:role/models"
base_url = "{there}"

[models.claude]
provider = "here"
upstream = "us.anthropic.claude-sonnet-4-6"

[models.haiku]
provider = "here"
upstream = "us.anthropic.claude-haiku-4-5"
guardrail = {{ id = "gr7", version = "DRAFT", trace = "disabled" }}

[models.nova]
provider = "there"
upstream = "eu.amazon.nova-micro-v1:0"
"""


async def test_the_models_file_alone_opens_providers_of_several_regions_and_roles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    async with (
        FakeCredentials(region="eu-west-1") as source,
        FakeBedrock(keys=source.keys) as here,
        FakeBedrock(keys=source.keys, region="eu-west-1") as there,
    ):
        for name, value in source.environment.items():
            monkeypatch.setenv(name, value)
        models = tmp_path / "models.toml"
        models.write_text(MODELS.format(here=here.base_url, there=there.base_url), encoding="utf-8")
        settings = Settings(_env_file=None, models_file=models)
        clock = SystemClock()
        catalogue = load_catalogue(settings, {}, clock)
        assert [model.id for model in catalogue.models()] == ["claude", "haiku", "nova"]
        for model in catalogue.models():
            assert model.capabilities == OF_CHATS - {Capability.AUDIO}
        assert catalogue.plain_http_providers() == ["here", "there"]
        async with open_llm(catalogue, settings, clock=clock, observer=RecordingObserver()) as llm:
            for name in ("claude", "haiku", "nova"):
                context = a_chat_context()
                context.model = name
                heard = await read_answer(llm.client, context)
                assert (heard.text, heard.error) == ("Hello world", None)
        # both providers look for the credentials of the machine, in either order
        given, ((_, assumed),) = source.given, source.assumed
    own, again = here.signers
    assert own == again
    assert own in given
    assert len(given) == 2
    assert there.signers == [assumed]
    assert [seen.body.get("guardrailConfig") for seen in here.seen] == [
        None,
        {"guardrailIdentifier": "gr7", "guardrailVersion": "DRAFT", "trace": "disabled"},
    ]


def test_keys_of_the_environment_and_the_address_of_the_region_are_used(tmp_path: Path) -> None:
    models = tmp_path / "models.toml"
    text = MODELS.replace('base_url = "{here}"\n', "").format(there="https://vpce.example")
    models.write_text(text, encoding="utf-8")
    settings = Settings(_env_file=None, models_file=models)
    environment = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "a secret"}
    entries = load_catalogue(settings, environment, SystemClock()).entries
    here, there = entries[0].provider, entries[2].provider
    assert here.base_url == "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert there.base_url == "https://vpce.example"
    assert there.price_url == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert here.identity == AwsIdentity(
        region="us-east-1", access_key_id="AKIA", secret_access_key="a secret"
    )
    assert "a secret" not in repr(here.identity)


def test_the_regions_of_china_have_an_address_of_their_own() -> None:
    assert default_url("cn-north-1") == "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"


async def test_cancelling_a_call_that_hangs_closes_the_connection(
    session: aiohttp.ClientSession, provider: FakeBedrock
) -> None:
    provider.then(Hangs(["Hi"]))
    call = asyncio.create_task(events_of(client_of(session, provider)))
    async with asyncio.timeout(5):
        while not provider.seen:
            await asyncio.sleep(0)
        call.cancel()
        while not provider.left:
            await asyncio.sleep(0)
    assert isinstance(
        (await asyncio.gather(call, return_exceptions=True))[0], asyncio.CancelledError
    )


@pytest.mark.parametrize("status", [429, 503])
async def test_a_pause_that_a_gateway_asks_for_is_passed_on(
    session: aiohttp.ClientSession, provider: FakeBedrock, status: int
) -> None:
    provider.then(Refuses(status, retry_after_seconds=3))
    with pytest.raises(LLMError) as raised:
        await events_of(client_of(session, provider))
    assert raised.value.retry_after_seconds == 3
