"""Providers whose model does a task with two tools, whatever client asks it."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from tests.fakes.behaviour import USAGE, Behaviour, Cut, Raw, Says
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini import bad_key as gemini_bad_key
from tests.fakes.gemini import event as gemini_event
from tests.fakes.http_provider import FakeProvider, Seen
from tests.fakes.openai import DONE, FakeOpenAI, chunk
from tests.fakes.openai import error as openai_error
from tests.fakes.openai import event as openai_event

STEADY, DIES, FALTERS = "steady", "dies", "falters"
"""Models of the providers: one that answers, one that breaks after the first tool result, one only before the second."""

TEXT = "All is well."
JSON = {"city": "Oslo", "celsius": 22}
TOOLS = ("find_city", "get_weather")
BOTH = "at once"
"""Words of a prompt for which the model calls both tools in one answer."""
SIGNATURE = "c2lnbmF0dXJl"
_PAUSE_SECONDS = 0.05
"""Between the halves of a text; those that arrive together are one piece."""


@dataclass(frozen=True)
class Call:
    """A call of a tool."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """What a request says, in no provider's format."""

    model: str
    prompt: str
    tools: Sequence[str]
    results: Sequence[str]
    wants_json: bool

    @property
    def breaks(self) -> bool:
        """Whether the provider breaks off its answer."""
        count = len(self.results)
        return (self.model == DIES and count > 0) or (self.model == FALTERS and count == 1)


def next_step(turn: Turn) -> str | list[Call]:
    """Return what the model answers: a text, or calls."""
    if turn.wants_json:
        return orjson.dumps(JSON).decode()
    if not turn.tools:
        return TEXT
    if others := [name for name in turn.tools if name not in TOOLS]:
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

    def refusal_of(self, seen: Seen) -> Raw | None:
        return None if seen.headers.get("x-goog-api-key") == self.api_key else gemini_bad_key()

    def _default(self, seen: Seen) -> Behaviour:
        turn = self._turn(seen)
        step = next_step(turn)
        if isinstance(step, str):
            return Raw([Cut()]) if turn.breaks else _says(step)
        parts = [
            {"functionCall": {"name": call.name, "args": call.arguments}, **_signed(index == 0)}
            for index, call in enumerate(step)
        ]
        whole = gemini_event(_gemini(*parts, finishReason="STOP"))
        return Raw([whole[:60], Cut()]) if turn.breaks else Raw([whole])

    def _turn(self, seen: Seen) -> Turn:
        body = seen.body
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
            wants_json="responseMimeType" in body.get("generationConfig", {}),
        )


class TaskOpenAI(FakeOpenAI):
    """Does the task in OpenAI's format; arguments come in fragments."""

    def refusal_of(self, seen: Seen) -> Raw | None:
        is_right = seen.headers.get("Authorization") == f"Bearer {self.api_key}"
        return None if is_right else openai_error(401)

    def _default(self, seen: Seen) -> Behaviour:
        turn = self._turn(seen)
        step = next_step(turn)
        if isinstance(step, str):
            return Raw([Cut()]) if turn.breaks else _says(step)
        deltas = [
            delta
            for index, call in enumerate(step)
            for delta in _fragments(index, call, len(self.seen))
        ]
        if turn.breaks:
            return Raw([openai_event(chunk({"tool_calls": deltas[:1]})), Cut()])
        counts = {
            "prompt_tokens": USAGE.input_tokens,
            "completion_tokens": USAGE.output_tokens,
            "total_tokens": USAGE.total_tokens,
        }
        return Raw(
            [
                openai_event(chunk({"role": "assistant", "content": None})),
                *(openai_event(chunk({"tool_calls": [delta]})) for delta in deltas),
                openai_event(chunk(finish_reason="tool_calls")),
                openai_event({**chunk(), "choices": [], "usage": counts}),
                DONE,
            ]
        )

    def _turn(self, seen: Seen) -> Turn:
        body = seen.body
        contents = {
            role: [message["content"] for message in body["messages"] if message["role"] == role]
            for role in ("user", "tool")
        }
        return Turn(
            model=body["model"],
            prompt=contents["user"][0],
            tools=[tool["function"]["name"] for tool in body.get("tools", ())],
            results=contents["tool"],
            wants_json="response_format" in body,
        )


def _says(text: str) -> Says:
    middle = len(text) // 2
    pause = asyncio.Event()
    asyncio.get_running_loop().call_later(_PAUSE_SECONDS, pause.set)
    return Says([text[:middle], pause, text[middle:]])


def _gemini(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    counts = {
        "promptTokenCount": USAGE.input_tokens,
        "candidatesTokenCount": (USAGE.output_tokens or 0) - (USAGE.reasoning_tokens or 0),
        "thoughtsTokenCount": USAGE.reasoning_tokens,
        "totalTokenCount": USAGE.total_tokens,
    }
    content = {"role": "model", "parts": list(parts)}
    return {"candidates": [{"content": content, "index": 0, **more}], "usageMetadata": counts}


def _signed(is_first: bool) -> dict[str, str]:
    return {"thoughtSignature": SIGNATURE} if is_first else {}


def _fragments(index: int, call: Call, request: int) -> list[dict[str, Any]]:
    arguments = orjson.dumps(call.arguments).decode()
    head = {"name": call.name, "arguments": ""}
    return [
        {"index": index, "id": f"call_{request}_{index}", "type": "function", "function": head},
        {"index": index, "function": {"arguments": arguments[:5]}},
        {"index": index, "function": {"arguments": arguments[5:]}},
    ]


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
