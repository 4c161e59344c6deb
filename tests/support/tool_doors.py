"""Clients that do a task with tools at the native route and in OpenAI's format."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx2

from tests.support.tool_loops import WEATHER


@dataclass
class Door:
    """A client of one of the doors, with what it knows of its conversation.

    Attributes:
        tools: Name, description and parameters of each.
        schema: Of the answer's text.
        calls: Those of the last answer, each with `id`, `name` and `arguments`.
        ids: Of all calls.
        text: Of the last answer.
    """

    client: httpx2.Client
    model: str
    conversation: str
    tools: Sequence[dict[str, Any]] = (WEATHER,)
    schema: dict[str, Any] | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    text: str = ""

    def ask(self, question: str = "How warm is it?") -> None:
        """Ask a question."""
        raise NotImplementedError

    def send_results(self, output: object = "22") -> None:
        """Send this output as the result of each open call."""
        raise NotImplementedError

    def _took(self, calls: Sequence[dict[str, Any]], text: str) -> None:
        self.calls = [dict(call) for call in calls]
        self.ids += [call["id"] for call in calls]
        self.text = text


class Native(Door):
    """POST /v1/chat."""

    is_streamed: ClassVar[bool] = False

    def ask(self, question: str = "How warm is it?") -> None:
        self._send(userPrompt=question)

    def send_results(self, output: object = "22") -> None:
        self._send(toolResults=[{"callId": call["id"], "output": output} for call in self.calls])

    def _send(self, **body: Any) -> None:
        body = {
            "userId": "ana",
            "conversationId": self.conversation,
            "model": self.model,
            "tools": list(self.tools),
            "stream": self.is_streamed,
            **body,
        }
        if self.schema is not None:
            body["responseSchema"] = self.schema
        response = self.client.post("/v1/chat", json=body)
        assert response.status_code == 200, response.text
        if not self.is_streamed:
            answer = response.json()
            self._took(answer.get("toolCalls", ()), answer["response"])
            return
        events = [event.split("\n") for event in response.text.removesuffix("\n\n").split("\n\n")]
        pairs = [(name[7:], json.loads(data[6:])) for name, data in events]
        assert pairs[-1][0] == "done", response.text
        self._took(
            [data for name, data in pairs if name == "tool_call"],
            "".join(data["text"] for name, data in pairs if name == "delta"),
        )


class NativeStream(Native):
    """POST /v1/chat with a stream."""

    is_streamed: ClassVar[bool] = True


@dataclass
class Completions(Door):
    """POST /v1/chat/completions, whose client sends the whole conversation each time."""

    messages: list[dict[str, Any]] = field(default_factory=list)

    is_streamed: ClassVar[bool] = False
    keeps_extra: ClassVar[bool] = True

    def ask(self, question: str = "How warm is it?") -> None:
        self.messages.append({"role": "user", "content": question})
        self._send()

    def send_results(self, output: object = "22") -> None:
        content = output if isinstance(output, str) else json.dumps(output)
        for call in self.calls:
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
        self._send()

    def _send(self) -> None:
        body: dict[str, Any] = {
            "user": "ana",
            "model": self.model,
            "messages": self.messages,
            "tools": [{"type": "function", "function": tool} for tool in self.tools],
            "stream": self.is_streamed,
        }
        if self.schema is not None:
            json_schema = {"name": "answer", "schema": self.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        response = self.client.post("/v1/chat/completions", json=body)
        assert response.status_code == 200, response.text
        message = self._streamed(response) if self.is_streamed else self._whole(response)
        for call in message.get("tool_calls") or ():
            call.pop("index", None)
            if not self.keeps_extra:
                call.pop("extra_content", None)
        calls = [{"id": call["id"], **call["function"]} for call in message.get("tool_calls") or ()]
        self._took(calls, message["content"] or "")
        self.messages.append(message)

    def _whole(self, response: httpx2.Response) -> dict[str, Any]:
        message: dict[str, Any] = response.json()["choices"][0]["message"]
        return message

    def _streamed(self, response: httpx2.Response) -> dict[str, Any]:
        lines = [line[6:] for line in response.text.split("\n\n") if line]
        assert lines[-1] == "[DONE]", response.text
        deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
        message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": []}
        for delta in deltas:
            message["content"] += delta.get("content") or ""
            message["tool_calls"] += delta.get("tool_calls", [])
        if not message["tool_calls"]:
            del message["tool_calls"]
        return message


class CompletionsStream(Completions):
    """POST /v1/chat/completions with a stream, by a client that keeps no fields it does not know."""

    is_streamed: ClassVar[bool] = True
    keeps_extra: ClassVar[bool] = False


DOORS: tuple[type[Native | Completions], ...] = (
    Native,
    NativeStream,
    Completions,
    CompletionsStream,
)
