"""Gates within gates share a generator, and nobody can tell."""

import asyncio
from contextlib import aclosing

import pytest

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.reply import Reply
from domain.exceptions import LLMUnavailable, NoRoute
from domain.interfaces.llm_client import LLMClient
from infra.llm.providers.scripted import Piece, ScriptedLLM
from infra.llm.resilience.call_hooks import Gate
from tests.fakes.clock import FakeClock
from tests.unit.infra.llm.resilience.parts import PROMPT, a_chat_context, hear


class Diary(Gate[str]):
    """Writes down what it hears."""

    def __init__(
        self, inner: LLMClient, name: str, lines: list[str], *, shut: bool = False
    ) -> None:
        super().__init__(inner)
        self.name = name
        self.lines = lines
        self.shut = shut

    def enter(self, context: ChatRequestContext) -> str:
        if self.shut:
            raise NoRoute
        self.lines.append(f"{self.name} enter")
        return self.name

    def speak(self, call: str) -> None:
        self.lines.append(f"{call} speak")

    def answer(self, call: str, context: ChatRequestContext, reply: Reply) -> None:
        self.lines.append(f"{call} answer")

    def fail(self, call: str, context: ChatRequestContext, error: BaseException) -> None:
        self.lines.append(f"{call} fail {type(error).__name__}")

    def leave(self, call: str) -> None:
        self.lines.append(f"{call} leave")


def nested(
    *script: str | LLMUnavailable | list[Piece], shut: bool = False
) -> tuple[Diary, list[str]]:
    lines: list[str] = []
    inner = Diary(ScriptedLLM(*script), "inner", lines, shut=shut)
    return Diary(inner, "outer", lines), lines


async def test_in_from_the_outside_and_out_from_the_inside() -> None:
    gate, lines = nested(["be", "cause"])
    assert (await hear(gate, a_chat_context(FakeClock()))).text == "because"
    assert lines == [
        "outer enter",
        "inner enter",
        "outer speak",
        "inner speak",
        "inner answer",
        "outer answer",
        "inner leave",
        "outer leave",
    ]


async def test_all_hear_of_a_failure() -> None:
    gate, lines = nested(LLMUnavailable())
    await hear(gate, a_chat_context(FakeClock()))
    assert lines[2:] == [
        "inner fail LLMUnavailable",
        "outer fail LLMUnavailable",
        "inner leave",
        "outer leave",
    ]


async def test_who_is_not_reached_hears_nothing() -> None:
    gate, lines = nested("yes", shut=True)
    assert isinstance((await hear(gate, a_chat_context(FakeClock()))).error, NoRoute)
    assert lines == ["outer enter", "outer fail NoRoute", "outer leave"]


async def test_a_caller_who_leaves_is_told_of_after_the_provider_was_hung_up_on() -> None:
    lines: list[str] = []

    class Tidying(ScriptedLLM):
        async def stream(self, prompt, context):  # type: ignore[no-untyped-def]
            try:
                async for piece in super().stream(prompt, context):
                    yield piece
            finally:
                await asyncio.sleep(0)
                lines.append("hung up")

    gate = Diary(Tidying("yes"), "gate", lines)
    async with aclosing(gate.stream(PROMPT, a_chat_context(FakeClock()))) as pieces:
        await anext(pieces)
    assert lines == ["gate enter", "hung up", "gate fail GeneratorExit", "gate leave"]


async def test_a_bug_passes_through_and_lets_everybody_out() -> None:
    class Buggy(ScriptedLLM):
        def stream(self, prompt, context):  # type: ignore[no-untyped-def]
            raise KeyError("bug")

    lines: list[str] = []
    gate = Diary(Buggy(), "gate", lines)
    with pytest.raises(KeyError):
        await hear(gate, a_chat_context(FakeClock()))
    assert lines == ["gate enter", "gate fail KeyError", "gate leave"]


async def test_a_client_that_is_no_gate_keeps_its_place_between_gates() -> None:
    lines: list[str] = []

    class Between(LLMClient):
        def __init__(self, inner: LLMClient) -> None:
            self.inner = inner

        def stream(self, prompt, context):  # type: ignore[no-untyped-def]
            lines.append("between")
            return self.inner.stream(prompt, context)

    gate = Diary(Between(Diary(ScriptedLLM("yes"), "inner", lines)), "outer", lines)
    await hear(gate, a_chat_context(FakeClock()))
    assert lines[:3] == ["outer enter", "between", "inner enter"]
