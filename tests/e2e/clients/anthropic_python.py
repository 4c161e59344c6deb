"""The anthropic package."""

from collections.abc import Callable
from typing import Any

from anthropic import Anthropic, transform_schema
from pydantic import BaseModel

from tests.e2e.clients.jobs import BOTH, FUNCTIONS, PLAIN, QUESTION, run

MAX_TOKENS = 32_000
"""As coding agents ask for; more than most models have."""


class Weather(BaseModel):
    city: str
    celsius: int


TOOLS: list[Any] = [
    {
        "name": name,
        "description": function.__doc__,
        "input_schema": {
            "type": "object",
            "properties": {argument: {"type": "string"}},
            "required": [argument],
        },
    }
    for (name, function), argument in zip(FUNCTIONS.items(), ("person", "city"), strict=True)
]


def client(url: str) -> Anthropic:
    return Anthropic(base_url=url.removesuffix("/v1"), api_key="unused", max_retries=0)


def asking(content: str) -> list[Any]:
    return [{"role": "user", "content": content}]


def text(url: str, model: str) -> dict[str, Any]:
    return outcome(
        client(url).messages.create(model=model, max_tokens=1000, messages=asking(PLAIN))
    )


def stream(url: str, model: str) -> dict[str, Any]:
    with client(url).messages.stream(
        model=model, max_tokens=1000, messages=asking(PLAIN)
    ) as events:
        pieces = list(events.text_stream)
        answer = events.get_final_message()
    assert "".join(pieces) == outcome(answer)["text"]
    return {**outcome(answer), "pieces": len(pieces)}


def agent(url: str, model: str, question: str = QUESTION) -> dict[str, Any]:
    return loop(
        question,
        lambda messages: client(url).messages.create(
            model=model, max_tokens=MAX_TOKENS, messages=messages, tools=TOOLS, timeout=60
        ),
    )


def agent_at_once(url: str, model: str) -> dict[str, Any]:
    return agent(url, model, BOTH)


def agent_streamed(url: str, model: str) -> dict[str, Any]:
    def ask(messages: list[Any]) -> Any:
        with client(url).beta.messages.stream(
            model=model,
            max_tokens=MAX_TOKENS,
            messages=messages,
            tools=TOOLS,
            thinking={"type": "enabled", "budget_tokens": 2048},
            betas=["context-1m-2025-08-07"],
        ) as events:
            return events.get_final_message()

    return loop(QUESTION, ask)


def loop(question: str, ask: Callable[[list[Any]], Any]) -> dict[str, Any]:
    messages = asking(question)
    calls = []
    finishes = []
    while True:
        answer = ask(messages)
        finishes.append(answer.stop_reason)
        uses = [block for block in answer.content if block.type == "tool_use"]
        if not uses:
            return {**outcome(answer), "calls": calls, "finish": finishes}
        messages.append({"role": "assistant", "content": answer.content})
        results = []
        for use in uses:
            calls.append([use.name, use.input])
            result = FUNCTIONS[use.name](**use.input)
            results.append({"type": "tool_result", "tool_use_id": use.id, "content": result})
        messages.append({"role": "user", "content": results})


def structured(url: str, model: str) -> dict[str, Any]:
    answer = client(url).messages.create(
        model=model,
        max_tokens=1000,
        messages=asking(QUESTION),
        output_config={
            "format": {"type": "json_schema", "schema": transform_schema(Weather)},
        },
    )
    return {"json": Weather.model_validate_json(outcome(answer)["text"]).model_dump()}


def outcome(answer: Any) -> dict[str, Any]:
    return {
        "text": "".join(block.text for block in answer.content if block.type == "text"),
        "finish": answer.stop_reason,
        "usage": [answer.usage.input_tokens, answer.usage.output_tokens],
    }


if __name__ == "__main__":
    run(
        {
            "text": text,
            "stream": stream,
            "agent": agent,
            "agent_at_once": agent_at_once,
            "agent_streamed": agent_streamed,
            "structured": structured,
        }
    )
