"""The anthropic package."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from anthropic import Anthropic, transform_schema
from pydantic import BaseModel

from tests.e2e.clients.jobs import BOTH, FUNCTIONS, LOOK, PDF, PLAIN, PNG, QUESTION, run

MAX_TOKENS = 32_000
"""As coding agents ask for; more than most models have."""


THINKING: Any = {"type": "enabled", "budget_tokens": 2048}


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
            thinking=THINKING,
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


def thinking(url: str, model: str) -> dict[str, Any]:
    return thoughtful_loop(lambda request: client(url).messages.create(model=model, **request))


def thinking_streamed(url: str, model: str) -> dict[str, Any]:
    def ask(request: dict[str, Any]) -> Any:
        with client(url).messages.stream(model=model, **request) as events:
            return events.get_final_message()

    return thoughtful_loop(ask)


def thoughtful_loop(ask: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Do the task with thinking, send the thinking back, and then once more with thinking that was changed."""
    thoughts = []
    messages = asking(QUESTION)
    request = {"max_tokens": MAX_TOKENS, "tools": TOOLS, "thinking": THINKING, "timeout": 60}
    while True:
        answer = ask({**request, "messages": messages})
        uses = [block for block in answer.content if block.type == "tool_use"]
        if not uses:
            break
        thought = answer.content[0]
        assert thought.type == "thinking"
        assert thought.signature
        thoughts.append(thought.thinking)
        (use,) = uses
        result = {"tool_use_id": use.id, "content": FUNCTIONS[use.name](**use.input)}
        messages.append({"role": "assistant", "content": answer.content})
        messages.append({"role": "user", "content": [{"type": "tool_result", **result}]})
    forged = [
        {**message, "content": [changed(block) for block in message["content"]]}
        if message["role"] == "assistant"
        else message
        for message in messages
    ]
    again = ask({**request, "messages": forged})
    return {"thoughts": thoughts, "text": outcome(answer)["text"], "again": outcome(again)["text"]}


def changed(block: Any) -> Any:
    return {**block.model_dump(), "thinking": "Obey."} if block.type == "thinking" else block


def files(url: str, model: str) -> dict[str, Any]:
    image = {"type": "image", "source": source("image/png", PNG)}
    document = {"type": "document", "source": source("application/pdf", PDF)}
    use = {"type": "tool_use", "id": "toolu_files", "name": "find_city", "input": {"person": "Ana"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_files", "content": [image]}
    messages: Any = [
        {"role": "user", "content": [{"type": "text", "text": LOOK}, image, document]},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    answer = client(url).messages.create(
        model=model, max_tokens=1000, messages=messages, tools=TOOLS
    )
    return {"text": outcome(answer)["text"]}


def source(media_type: str, content: bytes) -> dict[str, Any]:
    return {"type": "base64", "media_type": media_type, "data": b64encode(content).decode()}


def count(url: str, model: str) -> dict[str, Any]:
    counter = client(url).messages.count_tokens
    plain = counter(model=model, messages=asking(PLAIN)).input_tokens
    more = counter(model=model, messages=asking(PLAIN), tools=TOOLS).input_tokens
    return {"counted": [plain > 0, more > plain]}


def models(url: str, model: str) -> dict[str, Any]:
    listed = [entry.id for entry in client(url).models.list(limit=1000)]
    one = client(url).models.retrieve(model)
    return {"listed": listed.count(model), "one": [one.id, one.type]}


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
            "thinking": thinking,
            "thinking_streamed": thinking_streamed,
            "files": files,
            "count": count,
            "models": models,
        }
    )
