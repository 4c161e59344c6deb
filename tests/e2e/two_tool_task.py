"""Providers whose model does a task with two tools, whatever client asks it."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from domain.entities.reply import FinishReason
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.behaviour import Behaviour, Breaks, Calls, Cut, Raw, Says, Thinks
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini import event as gemini_event
from tests.fakes.http_provider import FakeProvider, Seen
from tests.fakes.openai import FakeOpenAI

STEADY, DIES, FALTERS = "steady", "dies", "falters"
"""Models of the providers: one that answers, one that breaks after the first tool result, one only before the second."""

TEXT = "All is well."
THOUGHT = "I look it up."
"""Precedes each step of a model that was asked to think."""
JSON = {"city": "Oslo", "celsius": 22}
TOOLS = ("find_city", "get_weather")
OUTPUT_TOOLS = ("Weather", "final_result")
"""Names of the tools that clients offer for a structured answer."""
SIGNATURES = {name: f"c2lnbmF0dXJl{name}" for name in (*TOOLS, *OUTPUT_TOOLS)}
BOTH = "at once"
"""Words of a prompt for which the model calls both tools in one answer."""
TAKES_BUDGET = "claude-3-"
"""Beginning of the models' names at Anthropic: of the first that think, with a budget."""
_PAUSE_SECONDS = 0.05
"""Between the halves of a text; those that arrive together are one piece."""


@dataclass(frozen=True)
class Call:
    """A call of a tool."""

    name: str
    arguments: dict[str, Any]

    @property
    def json(self) -> str:
        return orjson.dumps(self.arguments).decode()


@dataclass(frozen=True)
class Turn:
    """What a request says, in no provider's format.

    Attributes:
        files: The media types of the files in it.
    """

    model: str
    prompt: str
    tools: Sequence[str]
    results: Sequence[str]
    wants_json: bool
    thinks: bool
    files: Sequence[str]

    @property
    def breaks(self) -> bool:
        """Whether the provider breaks off its answer."""
        count = len(self.results)
        return (self.model == DIES and count > 0) or (self.model == FALTERS and count == 1)


def next_step(turn: Turn) -> str | list[Call]:
    """Return what the model answers: a text, or calls."""
    if turn.wants_json:
        return orjson.dumps(JSON).decode()
    if turn.files:
        return " ".join(turn.files)
    if not turn.tools:
        return TEXT
    if others := [name for name in turn.tools if name in OUTPUT_TOOLS]:
        return [Call(others[0], JSON)]
    match list(turn.results):
        case [] if BOTH in turn.prompt:
            return [Call("find_city", {"person": "Ana"}), Call("get_weather", {"city": "Rome"})]
        case []:
            return [Call("find_city", {"person": "Ana"})]
        case [city]:
            return [Call("get_weather", {"city": city})]
        case [city, weather, *_]:
            return f"{city}: {weather}"
    raise AssertionError(turn)


class TaskGemini(FakeGemini):
    """Does the task in Gemini's format, with a signature on the first call of each answer."""

    def _default(self, seen: Seen) -> Behaviour:
        turn = self._turn(seen)
        step = next_step(turn)
        if turn.breaks:
            event = gemini_event({"candidates": [{"content": {"role": "model", "parts": []}}]})
            return Raw([event[: len(event) // 2], Cut()])
        if isinstance(step, str):
            return in_halves(step)
        calls = [
            Calls(call.name, call.json, signature="" if index else SIGNATURES[call.name])
            for index, call in enumerate(step)
        ]
        return calling(calls, thinks=turn.thinks)

    def _turn(self, seen: Seen) -> Turn:
        body = seen.body
        config = body.get("generationConfig", {})
        parts = [part for content in body["contents"] for part in content["parts"]]
        return Turn(
            model=seen.path.rpartition("/")[2].partition(":")[0],
            prompt=next(part["text"] for part in parts if "text" in part),
            tools=[
                function["name"]
                for tool in body.get("tools", ())
                for function in tool["functionDeclarations"]
            ],
            results=[
                str(next(iter(part["functionResponse"]["response"].values())))
                for part in parts
                if "functionResponse" in part
            ],
            wants_json="responseMimeType" in config,
            thinks=config.get("thinkingConfig", {}).get("includeThoughts", False),
            files=[part["inlineData"]["mimeType"] for part in parts if "inlineData" in part],
        )


class TaskOpenAI(FakeOpenAI):
    """Does the task in OpenAI's format; arguments come in fragments, and it breaks after the first of them."""

    def _default(self, seen: Seen) -> Behaviour:
        turn = self._turn(seen)
        step = next_step(turn)
        if isinstance(step, str):
            return Breaks() if turn.breaks else in_halves(step)
        calls = [
            Calls(call.name, call.json, id=f"call_{len(self.seen)}_{index}", in_fragments=True)
            for index, call in enumerate(step)
        ]
        return Breaks(calls[:1]) if turn.breaks else calling(calls, thinks=turn.thinks)

    def _turn(self, seen: Seen) -> Turn:
        body = seen.body
        contents = {
            role: [message["content"] for message in body["messages"] if message["role"] == role]
            for role in ("user", "tool")
        }
        parts = [part for content in contents["user"] for part in parts_of(content)]
        return Turn(
            model=body["model"],
            prompt=next(part["text"] for part in parts if "text" in part),
            tools=[tool["function"]["name"] for tool in body.get("tools", ())],
            results=contents["tool"],
            wants_json="response_format" in body,
            thinks="reasoning_effort" in body,
            files=[
                data.partition(":")[2].partition(";")[0]
                for part in parts
                if (data := media_of(part)) is not None
            ],
        )


class TaskAnthropic(FakeAnthropic):
    """Does the task in Anthropic's format; its models take a budget for thinking, with which a call needs its thoughts.

    It breaks after the first fragment of a call.
    """

    def _default(self, seen: Seen) -> Behaviour:
        turn = self._turn(seen)
        step = next_step(turn)
        if isinstance(step, str):
            return Breaks() if turn.breaks else in_halves(step)
        calls = [
            Calls(call.name, call.json, id=f"toolu_{len(self.seen)}_{index}", in_fragments=True)
            for index, call in enumerate(step)
        ]
        return Breaks(calls[:1]) if turn.breaks else calling(calls, thinks=turn.thinks)

    def _turn(self, seen: Seen) -> Turn:
        body = seen.body
        blocks = [block for message in body["messages"] for block in parts_of(message["content"])]
        return Turn(
            model=body["model"].removeprefix(TAKES_BUDGET),
            prompt=next(block["text"] for block in blocks if block["type"] == "text"),
            tools=[tool["name"] for tool in body.get("tools", ())],
            results=[block["content"] for block in blocks if block["type"] == "tool_result"],
            wants_json="format" in body.get("output_config", {}),
            thinks=body.get("thinking", {}).get("type") == "enabled",
            files=[
                block["source"]["media_type"]
                for block in blocks
                if block["type"] in ("image", "document")
            ],
        )


def parts_of(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the parts of a content in OpenAI's or Anthropic's format."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def media_of(part: dict[str, Any]) -> str | None:
    """Return the data URL of a file in OpenAI's format; None for other parts."""
    if "image_url" in part:
        return str(part["image_url"]["url"])
    return str(part["file"]["file_data"]) if "file" in part else None


def in_halves(text: str) -> Says:
    """Return the behaviour that sends a text in two pieces, with a pause between them."""
    middle = len(text) // 2
    pause = asyncio.Event()
    asyncio.get_running_loop().call_later(_PAUSE_SECONDS, pause.set)
    return Says([text[:middle], pause, text[middle:]])


def calling(calls: Sequence[Calls], *, thinks: bool) -> Says:
    """Return the behaviour that answers with calls, after a thought if it thinks."""
    thoughts = [Thinks(THOUGHT)] if thinks else []
    return Says([*thoughts, *calls], finish=FinishReason.TOOL_CALLS)


@contextmanager
def in_thread(*providers: FakeProvider) -> Iterator[None]:
    """Serve providers from a thread of its own, until the block ends."""
    is_up = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        for provider in providers:
            await provider.__aenter__()
        is_up.set()
        await stop.wait()
        for provider in providers:
            await provider.__aexit__(None, None, None)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert is_up.wait(10), "the providers did not start"
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
