"""The openai package."""

import json
from typing import Any

from openai import OpenAI
from pydantic import BaseModel

from tests.e2e.clients.jobs import BOTH, FUNCTIONS, PLAIN, QUESTION, run


class Weather(BaseModel):
    city: str
    celsius: int


TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": function.__doc__,
            "parameters": {
                "type": "object",
                "properties": {argument: {"type": "string"}},
                "required": [argument],
            },
        },
    }
    for (name, function), argument in zip(FUNCTIONS.items(), ("person", "city"), strict=True)
]


def client(url: str) -> OpenAI:
    return OpenAI(base_url=url, api_key="unused", max_retries=0)


def text(url: str, model: str) -> dict[str, Any]:
    answer = client(url).chat.completions.create(
        model=model, messages=[{"role": "user", "content": PLAIN}]
    )
    return outcome(answer)


def stream(url: str, model: str) -> dict[str, Any]:
    chunks = list(
        client(url).chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": PLAIN}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    pieces = [choice.delta.content for choice in choices if choice.delta.content]
    return {
        "text": "".join(pieces),
        "pieces": len(pieces),
        "finish": choices[-1].finish_reason,
        "usage": usage(chunks[-1].usage),
    }


def agent(url: str, model: str, question: str = QUESTION) -> dict[str, Any]:
    return loop(
        question,
        lambda messages: client(url).chat.completions.create(
            model=model, messages=messages, tools=TOOLS
        ),
    )


def agent_at_once(url: str, model: str) -> dict[str, Any]:
    return agent(url, model, BOTH)


def agent_streamed(url: str, model: str) -> dict[str, Any]:
    def ask(messages: list[Any]) -> Any:
        with client(url).chat.completions.stream(
            model=model,
            messages=messages,
            tools=TOOLS,
            stream_options={"include_usage": True},
        ) as events:
            return events.get_final_completion()

    return loop(QUESTION, ask)


def loop(question: str, ask: Any) -> dict[str, Any]:
    messages: list[Any] = [{"role": "user", "content": question}]
    calls = []
    finishes = []
    while True:
        answer = ask(messages)
        message = answer.choices[0].message
        finishes.append(answer.choices[0].finish_reason)
        if not message.tool_calls:
            return {**outcome(answer), "calls": calls, "finish": finishes}
        messages.append(message.model_dump(exclude_none=True, exclude={"parsed"}))
        for call in message.tool_calls:
            arguments = json.loads(call.function.arguments)
            calls.append([call.function.name, arguments])
            result = FUNCTIONS[call.function.name](**arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


def structured(url: str, model: str) -> dict[str, Any]:
    answer = client(url).chat.completions.parse(
        model=model, messages=[{"role": "user", "content": QUESTION}], response_format=Weather
    )
    parsed = answer.choices[0].message.parsed
    assert parsed is not None
    return {"json": parsed.model_dump()}


def outcome(answer: Any) -> dict[str, Any]:
    choice = answer.choices[0]
    return {
        "text": choice.message.content,
        "finish": choice.finish_reason,
        "usage": usage(answer.usage),
    }


def usage(counts: Any) -> list[int]:
    return [counts.prompt_tokens, counts.completion_tokens]


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
