"""Gemini at Vertex AI: with Google's application default credentials instead of a key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.auth.compute_engine import _metadata
from pydantic import SecretStr

from domain.entities.interaction import Interaction
from domain.entities.items import ToolResult
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import Reply
from domain.entities.tools import Tool
from domain.exceptions import LLMMisconfigured, LLMUnavailable
from domain.use_cases.record_answer import AnswerRecorder
from infra.llm.catalogue.loader import load_catalogue
from infra.llm.chain import LLM, open_llm
from infra.llm.resilience.route_health import RouteState
from infra.settings import Settings
from tests.fakes.behaviour import Calls, Says
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.clock import FakeClock
from tests.fakes.gemini import FakeGemini
from tests.fakes.google_tokens import OTHER_KEY, FakeTokenServer
from tests.fakes.recordings import recordings
from tests.fakes.vertex import FakeVertex
from tests.unit.infra.llm.resilience.parts import ReceivedAnswer, RecordingObserver, read_answer

MODELS = """
default = "flash"

[providers.vertex]
kind = "gemini"
base_url = "{vertex}"
auth = "google"
allow_http = true

[providers.gemini]
kind = "gemini"
base_url = "https://gemini.example"
api_key_env = "GEMINI_API_KEY"

[models.flash]
provider = "vertex"
upstream = "gemini-3.8-flash"
{fallbacks}

[models.studio]
provider = "gemini"
upstream = "gemini-3.8-flash"
"""
TOOLS = (Tool(name="get_weather"),)


class VertexHarness:
    """A chain with Vertex AI, and the Developer API as its fallback."""

    def __init__(self, tmp_path: Path, clock: FakeClock) -> None:
        self.clock = clock
        self.tokens = FakeTokenServer(clock.monotonic)
        self.vertex = FakeVertex(self.tokens)
        self.studio = FakeGemini()
        self.models_file = tmp_path / "models.toml"
        self.key_file = tmp_path / "key.json"

    @asynccontextmanager
    async def open(self, *, has_fallback: bool = False) -> AsyncIterator[LLM]:
        fallbacks = 'fallbacks = ["studio"]' if has_fallback else ""
        models = MODELS.format(vertex=self.vertex.base_url, fallbacks=fallbacks)
        self.models_file.write_text(models, encoding="utf-8")
        settings = Settings(
            _env_file=None,
            models_file=self.models_file,
            gemini_api_key=SecretStr("test-key"),
            gemini_base_url=self.studio.origin,
            price_lookup_enabled=False,
        )
        catalogue = load_catalogue(settings, {}, self.clock)
        async with open_llm(
            catalogue, settings, clock=self.clock, observer=RecordingObserver()
        ) as llm:
            yield llm

    async def ask(self, llm: LLM, prompt: Prompt | None = None) -> ReceivedAnswer:
        context = a_chat_context(now_seconds=self.clock.monotonic())
        context.model = "flash"
        return await read_answer(llm.client, context, prompt or Prompt.from_text("Why?"))


@pytest.fixture(autouse=True)
def _no_variables_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "no-gcloud"))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "project")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)


@pytest.fixture
async def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[VertexHarness]:
    harness = VertexHarness(tmp_path, FakeClock())
    async with harness.tokens, harness.vertex, harness.studio:
        harness.tokens.write_key_file(harness.key_file)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(harness.key_file))
        yield harness


@pytest.fixture(params=["key file", "metadata server"])
def form(
    request: pytest.FixtureRequest, harness: VertexHarness, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Each form of credentials."""
    if request.param == "metadata server":
        use_metadata_server(harness, monkeypatch)
    return str(request.param)


def use_metadata_server(harness: VertexHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("GCE_METADATA_IP", harness.tokens.host)
    # read from the environment when google-auth is imported
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", harness.tokens.host)
    monkeypatch.setattr(_metadata, "_NO_GCE_CHECK", False)


async def test_a_chat_is_answered_with_a_token_and_without_any_key(
    harness: VertexHarness, form: str
) -> None:
    async with harness.open() as llm:
        answer = await harness.ask(llm)
    assert (answer.text, answer.error) == ("Hello world", None)
    (seen,) = harness.vertex.seen
    assert seen.path == (
        "/v1/projects/project/locations/global/publishers/google/models"
        "/gemini-3.8-flash:streamGenerateContent"
    )
    assert seen.headers["Authorization"] == f"Bearer {harness.tokens.issued[0]}"
    assert "x-goog-api-key" not in seen.headers


async def test_no_chat_fails_while_tokens_rotate(harness: VertexHarness, form: str) -> None:
    harness.tokens.lifetime_seconds = 600
    async with harness.open() as llm:
        for _ in range(30):
            answers = await asyncio.gather(*[harness.ask(llm) for _ in range(8)])
            assert [answer.error for answer in answers] == [None] * 8
            harness.clock.advance(70)
    assert len(harness.vertex.seen) == 240  # none was sent twice
    assert len(harness.tokens.issued) >= 3
    assert harness.tokens.requests == len(harness.tokens.issued)
    used = [seen.headers["Authorization"].removeprefix("Bearer ") for seen in harness.vertex.seen]
    assert set(used) <= set(harness.tokens.issued)


async def test_a_token_revoked_before_its_end_is_replaced_within_the_call(
    harness: VertexHarness,
) -> None:
    async with harness.open() as llm:
        await harness.ask(llm)
        harness.tokens.revoke()
        answers = await asyncio.gather(*[harness.ask(llm) for _ in range(8)])
        assert [answer.error for answer in answers] == [None] * 8
        assert len(harness.tokens.issued) == 2


async def test_a_failing_renewal_changes_nothing_while_the_old_token_is_valid(
    harness: VertexHarness,
) -> None:
    async with harness.open() as llm:
        await harness.ask(llm)
        harness.tokens.status = 400
        for _ in range(5):
            harness.clock.advance(700)
            answer = await harness.ask(llm)
            assert answer.error is None
        assert len(harness.tokens.issued) == 1


async def test_without_credentials_the_route_is_misconfigured_and_the_fallback_answers(
    harness: VertexHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use_metadata_server(harness, monkeypatch)
    harness.tokens.accepts_metadata = False
    async with harness.open(has_fallback=True) as llm:
        answer = await harness.ask(llm)
        assert (answer.text, answer.voices) == ("Hello world", ["flash", "studio"])
        assert llm.health()[0].state is RouteState.MISCONFIGURED
    assert harness.vertex.seen == []
    assert any(record.levelname == "ERROR" for record in caplog.records)


async def test_credentials_that_google_rejects_are_misconfigured(harness: VertexHarness) -> None:
    harness.tokens.write_key_file(harness.key_file, key=OTHER_KEY)
    async with harness.open() as llm:
        answer = await harness.ask(llm)
        assert isinstance(answer.error, LLMMisconfigured)
        assert llm.health()[0].state is RouteState.MISCONFIGURED


async def test_a_token_server_that_is_away_heals_without_a_restart(harness: VertexHarness) -> None:
    harness.tokens.write_key_file(harness.key_file, host="127.0.0.1:1")
    async with harness.open() as llm:
        answer = await harness.ask(llm)
        assert isinstance(answer.error, LLMUnavailable)
        harness.tokens.write_key_file(harness.key_file)
        answer = await harness.ask(llm)
        assert answer.error is None


async def test_the_token_server_does_not_block_other_calls(harness: VertexHarness) -> None:
    harness.tokens.go_on.clear()
    async with harness.open() as llm:
        waiting = asyncio.create_task(harness.ask(llm))
        context = a_chat_context(now_seconds=harness.clock.monotonic())
        context.model = "studio"
        answer = await read_answer(llm.client, context)
        assert answer.error is None
        assert not waiting.done()
        harness.tokens.go_on.set()
        assert (await waiting).error is None


async def test_signatures_are_not_mixed_between_vertex_and_the_developer_api(
    harness: VertexHarness,
) -> None:
    """Each rejects the other's."""
    signed = Calls("get_weather", id="call_1", signature="c2lnbmVk")
    question = Prompt(messages=(Message(role=Role.USER, text="Weather?"),), tools=TOOLS)
    async with harness.open() as llm:
        for fake, model, other in (
            (harness.vertex, "flash", harness.studio),
            (harness.studio, "studio", harness.vertex),
        ):
            fake.then(Says([signed]))
            interaction = await recorded(llm, model, question)
            following = Prompt(
                messages=(
                    *question.messages,
                    Message(role=Role.ASSISTANT, text="", items=interaction.items),
                    Message(
                        role=Role.USER,
                        text="",
                        items=(
                            ToolResult(call_id=interaction.tool_calls[0].id, output="22 degrees"),
                        ),
                    ),
                ),
                tools=TOOLS,
            )
            for asked in ("flash", "studio"):
                assert (await recorded(llm, asked, following)).text == "Hello world"
            own = fake.seen[-1].body["contents"][1]["parts"][0]["thoughtSignature"]
            foreign = other.seen[-1].body["contents"][1]["parts"][0]["thoughtSignature"]
            assert (own, foreign) == ("c2lnbmVk", "skip_thought_signature_validator")


async def recorded(llm: LLM, model: str, prompt: Prompt) -> Interaction:
    context = a_chat_context()
    context.model = model
    recorder = AnswerRecorder(context, prompt, FakeClock())
    answer = await read_answer(llm.client, context, prompt)
    assert answer.error is None
    *events, reply = answer.pieces
    for event in events:
        recorder.add(event)  # type: ignore[arg-type]
    assert isinstance(reply, Reply)
    return recorder.completed(reply)


@pytest.mark.parametrize("recording", recordings("vertex"), ids=lambda recording: recording.name)
async def test_recorded_answers_are_read(harness: VertexHarness, recording: Any) -> None:
    harness.vertex.then(recording.as_recorded())
    question = Prompt(messages=(Message(role=Role.USER, text="Weather?"),), tools=TOOLS)
    async with harness.open() as llm:
        interaction = await recorded(llm, "flash", question)
        signed = [call.metadata for call in interaction.tool_calls if call.metadata]
        assert len(signed) == 1
        assert signed[0].family == "vertex"
        results = tuple(ToolResult(call_id=call.id, output="ok") for call in interaction.tool_calls)
        harness.vertex.issue([Calls(interaction.tool_calls[0].name, signature=signed[0].value)])
        following = Prompt(
            messages=(
                *question.messages,
                Message(role=Role.ASSISTANT, text="", items=interaction.items),
                Message(role=Role.USER, text="", items=results),
            ),
            tools=TOOLS,
        )
        assert (await recorded(llm, "flash", following)).text == "Hello world"
