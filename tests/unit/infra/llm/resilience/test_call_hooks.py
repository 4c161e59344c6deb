"""Hooks around a client share one generator and are called in a fixed order."""

import asyncio
from contextlib import aclosing

import pytest

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.reply import Reply
from domain.exceptions import LLMUnavailable, NoRoute
from infra.llm.providers.scripted import Piece, ScriptedLLM
from infra.llm.resilience.call_hooks import CallHooks, HookedClient
from tests.fakes.clock import FakeClock
from tests.unit.infra.llm.resilience.parts import PROMPT, a_chat_context, read_answer


class RecordingHooks(CallHooks[str]):
    """Records the hooks that are called."""

    def __init__(self, name: str, lines: list[str], *, is_refusing: bool = False) -> None:
        self.name = name
        self.lines = lines
        self.is_refusing = is_refusing

    def on_enter(self, context: ChatRequestContext) -> str:
        if self.is_refusing:
            raise NoRoute
        self.lines.append(f"{self.name} enter")
        return self.name

    def on_first_text(self, call: str) -> None:
        self.lines.append(f"{call} first text")

    def on_reply(self, call: str, context: ChatRequestContext, reply: Reply) -> None:
        self.lines.append(f"{call} reply")

    def on_error(self, call: str, context: ChatRequestContext, error: BaseException) -> None:
        self.lines.append(f"{call} error {type(error).__name__}")

    def on_exit(self, call: str) -> None:
        self.lines.append(f"{call} exit")


def hooked(
    *script: str | LLMUnavailable | list[Piece], is_refusing: bool = False
) -> tuple[HookedClient, list[str]]:
    lines: list[str] = []
    hooks = [
        RecordingHooks("outer", lines),
        RecordingHooks("inner", lines, is_refusing=is_refusing),
    ]
    return HookedClient(ScriptedLLM(*script), hooks), lines


async def test_in_from_the_outside_and_out_from_the_inside() -> None:
    client, lines = hooked(["be", "cause"])
    assert (await read_answer(client, a_chat_context(FakeClock()))).text == "because"
    assert lines == [
        "outer enter",
        "inner enter",
        "outer first text",
        "inner first text",
        "inner reply",
        "outer reply",
        "inner exit",
        "outer exit",
    ]


async def test_all_hooks_are_called_for_a_failure() -> None:
    client, lines = hooked(LLMUnavailable())
    await read_answer(client, a_chat_context(FakeClock()))
    assert lines[2:] == [
        "inner error LLMUnavailable",
        "outer error LLMUnavailable",
        "inner exit",
        "outer exit",
    ]


async def test_hooks_after_a_refusal_are_not_called() -> None:
    client, lines = hooked("yes", is_refusing=True)
    assert isinstance((await read_answer(client, a_chat_context(FakeClock()))).error, NoRoute)
    assert lines == ["outer enter", "outer error NoRoute", "outer exit"]


async def test_a_disconnect_is_reported_after_the_call_of_the_provider_is_closed() -> None:
    lines: list[str] = []

    class Tidying(ScriptedLLM):
        async def stream(self, prompt, context):  # type: ignore[no-untyped-def]
            try:
                async for piece in super().stream(prompt, context):
                    yield piece
            finally:
                await asyncio.sleep(0)
                lines.append("hung up")

    client = HookedClient(Tidying("yes"), [RecordingHooks("hooks", lines)])
    async with aclosing(client.stream(PROMPT, a_chat_context(FakeClock()))) as pieces:
        await anext(pieces)
    assert lines == ["hooks enter", "hung up", "hooks error GeneratorExit", "hooks exit"]


async def test_a_bug_passes_through_and_every_hook_exits() -> None:
    class Buggy(ScriptedLLM):
        def stream(self, prompt, context):  # type: ignore[no-untyped-def]
            raise KeyError("bug")

    lines: list[str] = []
    client = HookedClient(Buggy(), [RecordingHooks("hooks", lines)])
    with pytest.raises(KeyError):
        await read_answer(client, a_chat_context(FakeClock()))
    assert lines == ["hooks enter", "hooks error KeyError", "hooks exit"]


async def test_hooks_that_are_not_implemented_are_skipped() -> None:
    class OnlyEnter(CallHooks[None]):
        def on_enter(self, context: ChatRequestContext) -> None:
            return

    lines: list[str] = []
    client = HookedClient(ScriptedLLM("yes"), [OnlyEnter(), RecordingHooks("inner", lines)])
    assert (await read_answer(client, a_chat_context(FakeClock()))).text == "yes"
    assert lines == ["inner enter", "inner first text", "inner reply", "inner exit"]
