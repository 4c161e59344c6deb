"""Several routes to one model share its requests."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from domain.entities.items import ToolCall
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.tools import Tool
from infra.clock import SystemClock
from infra.llm.catalogue.loader import load_catalogue
from infra.llm.catalogue.model_names import shared_name
from infra.llm.chain import LLM, open_llm
from infra.settings import Settings
from tests.fakes.behaviour import Breaks, Refuses, Says
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.openai import FakeOpenAI
from tests.unit.infra.llm.resilience.parts import ReceivedAnswer, RecordingObserver, read_answer

NAMES = ("eu", "us", "asia")


@dataclass
class Regions:
    """One model in three regions, and another one behind it.

    Attributes:
        keys: Further keys of the tables of the models, by name.
    """

    folder: Path
    fakes: dict[str, FakeOpenAI]
    keys: dict[str, str] = field(default_factory=dict)

    @asynccontextmanager
    async def open(self, **more: Any) -> AsyncIterator[LLM]:
        tables = ['default = "eu"']
        for name, fake in self.fakes.items():
            tables.append(
                f'[providers.{name}]\nkind = "openai"\nbase_url = "{fake.base_url}"\n'
                f'api_key_env = "KEY"\nallow_http = true'
            )
        for name in NAMES:
            upstream = "openai/gpt-5.4-mini" if name == "us" else "gpt-5.4-mini"
            tables.append(
                f'[models.{name}]\nprovider = "{name}"\nupstream = "{upstream}"\n'
                f"context_tokens = 1000\nmax_output_tokens = 100\n{self.keys.get(name, '')}"
            )
        tables[-3] += '\nspread = true\nfallbacks = ["us", "other", "asia"]'
        tables.append('[models.other]\nprovider = "other"')
        file = self.folder / "models.toml"
        file.write_text("\n\n".join(tables), encoding="utf-8")
        settings = Settings(
            _env_file=None,
            models_file=file,
            price_lookup_enabled=False,
            retry_base_seconds=0.001,
            **more,
        )
        clock = SystemClock()
        catalogue = load_catalogue(settings, {"KEY": "test-key"}, clock)
        async with open_llm(catalogue, settings, clock=clock, observer=RecordingObserver()) as llm:
            yield llm

    def counts(self) -> list[int]:
        """Return the number of requests in each region."""
        return [len(self.fakes[name].seen) for name in NAMES]


@pytest.fixture(autouse=True)
def _no_variables_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def regions(tmp_path: Path) -> AsyncIterator[Regions]:
    async with AsyncExitStack() as stack:
        fakes = {name: await stack.enter_async_context(FakeOpenAI()) for name in (*NAMES, "other")}
        yield Regions(tmp_path, fakes)


async def ask(
    llm: LLM,
    *,
    model: str = "eu",
    conversation: str | None = None,
    user: str = "ana",
    prompt: Prompt | None = None,
    is_streamed: bool = False,
    may_fall_back: bool = True,
) -> ReceivedAnswer:
    context = a_chat_context(is_streamed=is_streamed)
    context.model, context.user_id = model, user
    context.conversation_id = conversation
    context.may_fall_back = may_fall_back
    answer = await read_answer(llm.client, context, prompt or Prompt.from_text("Why?"))
    assert answer.error is None
    return answer


async def test_requests_without_a_conversation_take_turns(regions: Regions) -> None:
    async with regions.open() as llm:
        voices = [(await ask(llm)).voices for _ in range(6)]
    assert voices == [["eu"], ["us"], ["asia"]] * 2
    assert regions.fakes["us"].seen[0].body["model"] == "openai/gpt-5.4-mini"


async def test_turns_follow_the_weights_and_are_mixed(regions: Regions) -> None:
    regions.keys = {"us": "weight = 3", "asia": "weight = 0.5"}
    async with regions.open() as llm:
        voices = [(await ask(llm)).voices[0] for _ in range(18)]
    assert Counter(voices) == {"us": 12, "eu": 4, "asia": 2}
    assert "us us us us" not in " ".join(voices)


async def test_a_conversation_stays_at_its_route_also_after_a_restart(regions: Regions) -> None:
    chosen = []
    for _ in range(2):
        async with regions.open() as llm:
            for number in range(12):
                voices = {
                    tuple((await ask(llm, conversation=f"c{number}")).voices) for _ in range(2)
                }
                assert len(voices) == 1
                chosen.append(voices.pop())
    assert chosen[:12] == chosen[12:]
    assert set(chosen) == {("eu",), ("us",), ("asia",)}


async def test_conversations_are_spread_by_weight_and_users_by_themselves(
    regions: Regions,
) -> None:
    regions.keys = {"us": "weight = 2"}
    async with regions.open() as llm:
        for number in range(400):
            await ask(llm, conversation="c", user=f"user-{number}")
    eu, us, asia = regions.counts()
    assert 160 <= us <= 240
    assert 65 <= eu <= 135
    assert 65 <= asia <= 135


async def test_a_client_that_sends_the_earlier_messages_stays_at_one_route(
    regions: Regions,
) -> None:
    messages = [
        Message(role=Role.USER, text="Hi"),
        Message(role=Role.ASSISTANT, text="Hello."),
        Message(role=Role.USER, text="And?"),
        Message(role=Role.ASSISTANT, text="So."),
        Message(role=Role.USER, text="Why?"),
    ]
    async with regions.open() as llm:
        voices = {
            (await ask(llm, prompt=Prompt(messages=tuple(messages[:length])))).voices[0]
            for length in (3, 5)
            for _ in range(3)
        }
    assert len(voices) == 1


async def test_the_next_route_answers_until_the_breaker_closes(regions: Regions) -> None:
    async with regions.open(breaker_consecutive_failures=2) as llm:
        (first,) = (await ask(llm, conversation="c")).voices
        regions.fakes[first].then(Refuses(503), Refuses(503))
        answer = await ask(llm, conversation="c")
        assert answer.voices[:2] == [first, first]
        second = answer.voices[-1]
        assert second in set(NAMES) - {first}
        calls = len(regions.fakes[first].seen)
        for _ in range(3):
            assert (await ask(llm, conversation="c")).voices == [second]
        assert len(regions.fakes[first].seen) == calls


async def test_the_other_fallbacks_come_after_all_routes_to_the_model(regions: Regions) -> None:
    for name in NAMES:
        regions.fakes[name].then(Refuses(401))
    async with regions.open() as llm:
        answer = await ask(llm)
    assert answer.voices == [*NAMES, "other"]


async def test_a_route_without_the_needed_capabilities_is_passed_over(regions: Regions) -> None:
    regions.keys = {"us": 'capabilities = ["json_schema"]'}
    prompt = Prompt(
        messages=(Message(role=Role.USER, text="Weather?"),), tools=(Tool(name="get_weather"),)
    )
    async with regions.open() as llm:
        for _ in range(6):
            await ask(llm, prompt=prompt)
    eu, us, asia = regions.counts()
    assert us == 0
    assert eu + asia == 6


async def test_without_leave_to_fall_back_the_named_model_alone_is_called(
    regions: Regions,
) -> None:
    async with regions.open() as llm:
        for _ in range(3):
            assert (await ask(llm, may_fall_back=False)).voices == ["eu"]


async def test_a_model_of_the_spread_that_is_named_itself_answers(regions: Regions) -> None:
    async with regions.open() as llm:
        for _ in range(3):
            assert (await ask(llm, model="asia")).voices == ["asia"]


async def test_a_stream_that_breaks_is_continued_by_another_route(regions: Regions) -> None:
    regions.keys = dict.fromkeys(("us", "asia"), "continues = true")
    regions.fakes["eu"].then(Breaks(["Once ", "upon "]))
    for name in ("us", "asia"):
        regions.fakes[name].then(Says(["a ", "time"]))
    async with regions.open() as llm:
        answer = await ask(llm, is_streamed=True)
    assert answer.text == "Once upon a time"
    assert answer.voices[0] == "eu"
    assert not any(isinstance(piece, ToolCall) for piece in answer.pieces)


@pytest.mark.parametrize(
    ("upstream", "shared"),
    [
        ("gpt-5.4-mini", "gpt-5.4-mini"),
        ("openai/GPT-5.4-mini", "gpt-5.4-mini"),
        ("eu.anthropic.claude-sonnet-4-6-v1:0", "anthropic.claude-sonnet-4-6-v1:0"),
        ("anthropic.claude-sonnet-4-6-v1:0", "anthropic.claude-sonnet-4-6-v1:0"),
        (
            "arn:aws:bedrock:eu-west-1:1:inference-profile/us-gov.anthropic.claude-sonnet-4-6-v1:0",
            "anthropic.claude-sonnet-4-6-v1:0",
        ),
        ("us.model", "us.model"),
    ],
)
def test_the_shared_name_has_neither_path_nor_region(upstream: str, shared: str) -> None:
    assert shared_name(upstream) == shared


async def test_the_first_choice_is_named_and_an_answer_of_it_is_no_fallback(
    regions: Regions,
) -> None:
    regions.fakes["us"].then(Refuses(401))
    found = []
    async with regions.open() as llm:
        for model in ("eu", "eu", "asia"):
            context = a_chat_context()
            context.model = model
            answer = await read_answer(llm.client, context)
            found.append((context.preferred_model, answer.voices[-1]))
    assert found == [("eu", "eu"), ("us", "asia"), (None, "asia")]
