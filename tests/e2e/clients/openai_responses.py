"""The openai package with the Responses API: state by `previous_response_id`."""

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
        "name": name,
        "description": function.__doc__,
        "parameters": {
            "type": "object",
            "properties": {argument: {"type": "string"}},
            "required": [argument],
        },
        "strict": False,
    }
    for (name, function), argument in zip(FUNCTIONS.items(), ("person", "city"), strict=True)
]


def client(url: str) -> OpenAI:
    return OpenAI(base_url=url, api_key="unused", max_retries=0)


def text(url: str, model: str) -> dict[str, Any]:
    return outcome(client(url).responses.create(model=model, input=PLAIN))


def stream(url: str, model: str) -> dict[str, Any]:
    events = list(client(url).responses.create(model=model, input=PLAIN, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    last = events[-1]
    assert last.type == "response.completed"
    return {**outcome(last.response), "text": "".join(pieces), "pieces": len(pieces)}


def agent(url: str, model: str, question: str = QUESTION) -> dict[str, Any]:
    return loop(
        question,
        lambda given, previous: client(url).responses.create(
            model=model, input=given, tools=TOOLS, previous_response_id=previous
        ),
    )


def agent_at_once(url: str, model: str) -> dict[str, Any]:
    return agent(url, model, BOTH)


def agent_streamed(url: str, model: str) -> dict[str, Any]:
    def ask(given: Any, previous: str | None) -> Any:
        more = {} if previous is None else {"previous_response_id": previous}
        with client(url).responses.stream(model=model, input=given, tools=TOOLS, **more) as events:
            return events.get_final_response()

    return loop(QUESTION, ask)


def agent_stateless(url: str, model: str) -> dict[str, Any]:
    given: list[Any] = []

    def ask(new: list[Any], _: str | None) -> Any:
        given.extend(new)
        answer = client(url).responses.create(
            model=model,
            input=given,
            tools=TOOLS,
            store=False,
            include=["reasoning.encrypted_content"],
        )
        given.extend(answer.output)
        return answer

    return loop(QUESTION, ask)


def loop(question: str, ask: Any) -> dict[str, Any]:
    given: list[Any] = [{"role": "user", "content": question}]
    previous = None
    calls = []
    finishes = []
    while True:
        answer = ask(given, previous)
        found = [item for item in answer.output if item.type == "function_call"]
        finishes.append("tool_calls" if found else "stop")
        if not found:
            return {**outcome(answer), "calls": calls, "finish": finishes}
        previous, given = answer.id, []
        for call in found:
            arguments = json.loads(call.arguments)
            calls.append([call.name, arguments])
            result = FUNCTIONS[call.name](**arguments)
            given.append(
                {"type": "function_call_output", "call_id": call.call_id, "output": result}
            )


def structured(url: str, model: str) -> dict[str, Any]:
    answer = client(url).responses.parse(model=model, input=QUESTION, text_format=Weather)
    parsed = answer.output_parsed
    assert parsed is not None
    return {"json": parsed.model_dump()}


def outcome(answer: Any) -> dict[str, Any]:
    assert answer.status == "completed"
    return {
        "text": answer.output_text,
        "finish": "stop",
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
            "agent_stateless": agent_stateless,
            "structured": structured,
        }
    )
