"""Conversations with tools between the service as a process and providers that refuse what real ones refuse."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.behaviour import Behaviour, Breaks, Calls, Cut, Raw, Says
from tests.fakes.gemini import FakeGemini
from tests.fakes.http_provider import FakeProvider, Seen
from tests.fakes.openai import FakeOpenAI

KINDS = ("gem", "alt")
"""Models of Gemini's and of OpenAI's format; each is the other's first fallback."""
ALL_KINDS = (*KINDS, "ant")
"""The same, and one of Anthropic's format; the second fallback of both."""

WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
CITY = '{"city":"Paris"}'
_KEY = "test-key"


class _WithDefault(FakeProvider):
    """A provider whose answer when no other is left can be chosen."""

    default: Behaviour = Says(["Hello", " world"])

    def _default(self, seen: Seen) -> Behaviour:
        return self.default


class _Gemini(_WithDefault, FakeGemini):
    pass


class _OpenAI(_WithDefault, FakeOpenAI):
    pass


class _Anthropic(_WithDefault, FakeAnthropic):
    pass


@dataclass
class StrictProviders:
    """One provider of each kind; they refuse what real ones refuse."""

    gem: _Gemini = field(default_factory=lambda: _Gemini(api_key=_KEY))
    alt: _OpenAI = field(default_factory=lambda: _OpenAI(api_key=_KEY))
    ant: _Anthropic = field(default_factory=lambda: _Anthropic(api_key=_KEY))

    def of(self, kind: str) -> _Gemini | _OpenAI | _Anthropic:
        """Return the provider of the model `kind`."""
        return {"gem": self.gem, "alt": self.alt, "ant": self.ant}[kind]

    @property
    def seen(self) -> list[Seen]:
        """Return all requests."""
        return [*self.gem.seen, *self.alt.seen, *self.ant.seen]

    def refused(self) -> list[bytes]:
        """Return the refusals that the requests got for what was in them."""
        return [
            b"".join(step for step in refusal.steps if isinstance(step, bytes))
            for provider in (self.gem, self.alt, self.ant)
            for seen in list(provider.seen)
            if (refusal := provider.refusal_of(seen)) is not None
        ]

    def settings(self, folder: Path, **models: str) -> dict[str, str]:
        """Write a catalogue of all three and return the settings for it.

        Args:
            folder: For the models file.
            models: Further keys of a model, as lines of TOML.
        """
        tables = [
            'default = "gem"',
            f'[providers.gem]\nkind = "gemini"\nbase_url = "{self.gem.base_url}"\napi_key_env = "TEST_KEY"',
            f'[providers.alt]\nkind = "openai"\nbase_url = "{self.alt.base_url}"\napi_key_env = "TEST_KEY"',
            f'[providers.ant]\nkind = "anthropic"\nbase_url = "{self.ant.base_url}"\napi_key_env = "TEST_KEY"',
        ]
        for kind, fallbacks, upstream in (
            ("gem", '"alt", "ant"', "gemini-3-pro"),
            ("alt", '"gem", "ant"', "gpt"),
            ("ant", '"gem", "alt"', "claude"),
        ):
            tables.append(
                f'[models.{kind}]\nprovider = "{kind}"\nupstream = "{upstream}"\nfallbacks = [{fallbacks}]\n'
                + models.get(kind, "context_tokens = 100000\nmax_output_tokens = 1000")
            )
        path = folder / "models.toml"
        path.write_text("\n\n".join(tables), encoding="utf-8")
        return {
            "MODELS_FILE": str(path),
            "TEST_KEY": _KEY,
            "PRICE_LOOKUP_ENABLED": "false",
        }


@contextmanager
def strict_providers() -> Iterator[StrictProviders]:
    """Serve all three on loopback from a thread of its own, until the block ends."""
    providers = StrictProviders()
    is_up = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(providers.gem)
            await stack.enter_async_context(providers.alt)
            await stack.enter_async_context(providers.ant)
            is_up.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert is_up.wait(120), "the providers did not start"
    try:
        yield providers
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def ask(client: httpx2.Client, **body: Any) -> httpx2.Response:
    """Send ana's request to the native route; fields that are None are left out."""
    body = {"userId": "ana", "userPrompt": "How warm is it?", "tools": [WEATHER], **body}
    return client.post(
        "/v1/chat", json={name: value for name, value in body.items() if value is not None}
    )


def answered(response: httpx2.Response) -> dict[str, Any]:
    """Check that a plain request was answered, and return the interaction."""
    assert response.status_code == 200, response.text
    interaction: dict[str, Any] = response.json()
    return interaction


def results_of(interaction: dict[str, Any], output: object = "22") -> list[dict[str, object]]:
    """Return a result for each call of an interaction."""
    return [{"callId": call["id"], "output": output} for call in interaction["toolCalls"]]


def results_sent(body: Any) -> list[tuple[str, str]]:
    """Return the id and the text of each tool result in a provider's request."""
    if "contents" not in body:
        of_openai = [
            (message["tool_call_id"], message["content"])
            for message in body["messages"]
            if message["role"] == "tool"
        ]
        of_anthropic = [
            (block["tool_use_id"], block["content"])
            for block in _blocks(body)
            if block["type"] == "tool_result"
        ]
        return of_openai + of_anthropic
    responses = [
        part["functionResponse"]
        for content in body["contents"]
        for part in content["parts"]
        if "functionResponse" in part
    ]
    return [(one["id"], orjson.dumps(one["response"]).decode()) for one in responses]


def calls_sent(body: Any) -> list[tuple[str, str]]:
    """Return the id and the name of each tool call in a provider's request."""
    if "contents" not in body:
        of_openai = [
            (call["id"], call["function"]["name"])
            for message in body["messages"]
            for call in message.get("tool_calls", ())
        ]
        of_anthropic = [
            (block["id"], block["name"]) for block in _blocks(body) if block["type"] == "tool_use"
        ]
        return of_openai + of_anthropic
    return [
        (part["functionCall"]["id"], part["functionCall"]["name"])
        for content in body["contents"]
        for part in content["parts"]
        if "functionCall" in part
    ]


def _blocks(body: Any) -> list[Any]:
    """Return the parts of all messages whose content is a list."""
    contents = [message.get("content") for message in body["messages"]]
    return [block for content in contents if isinstance(content, list) for block in content]


def cut_within_a_call(render: Callable[[Breaks, Seen], Raw], *before: Any) -> Raw:
    """Return an answer whose connection ends before the last part of a call."""
    call = Calls("get_weather", CITY, id="call_cut", in_fragments=True)
    streamed = Seen("/streamGenerateContent", {}, {}, {"stream": True})
    steps: Sequence[bytes | asyncio.Event | Cut] = render(Breaks([*before, call]), streamed).steps
    return Raw([*steps[:-2], Cut()])
