"""langchain-openai, with Chat Completions or, with the argument `responses`, with Responses."""

import sys
from typing import Any

from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from tests.e2e.clients.jobs import BOTH, PLAIN, QUESTION, find_city, get_weather, run

USES_RESPONSES = "responses" in sys.argv
TOOLS = {function.__name__: tool(function) for function in (find_city, get_weather)}


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    celsius: int


def chat(url: str, model: str) -> ChatOpenAI:
    state = {"use_responses_api": True, "use_previous_response_id": True}
    return ChatOpenAI(
        base_url=url,
        api_key="unused",
        model=model,
        max_retries=0,
        stream_usage=True,
        **(state if USES_RESPONSES else {}),
    )


def text(url: str, model: str) -> dict[str, Any]:
    return outcome(chat(url, model).invoke(PLAIN))


def stream(url: str, model: str) -> dict[str, Any]:
    chunks = list(chat(url, model).stream(PLAIN))
    return {
        **outcome(joined(chunks)),
        "pieces": len([chunk for chunk in chunks if chunk.content]),
    }


def agent(url: str, model: str, question: str = QUESTION) -> dict[str, Any]:
    bound = chat(url, model).bind_tools(list(TOOLS.values()))
    return loop(question, bound.invoke)


def agent_at_once(url: str, model: str) -> dict[str, Any]:
    return agent(url, model, BOTH)


def agent_streamed(url: str, model: str) -> dict[str, Any]:
    bound = chat(url, model).bind_tools(list(TOOLS.values()))
    return loop(QUESTION, lambda messages: joined(list(bound.stream(messages))))


def loop(question: str, ask: Any) -> dict[str, Any]:
    messages: list[Any] = [HumanMessage(question)]
    calls = []
    finishes = []
    while True:
        answer = ask(messages)
        finishes.append(finish(answer))
        if not answer.tool_calls:
            return {**outcome(answer), "calls": calls, "finish": finishes}
        messages.append(answer)
        for call in answer.tool_calls:
            calls.append([call["name"], call["args"]])
            result = TOOLS[call["name"]].invoke(call)
            assert isinstance(result, ToolMessage)
            messages.append(result)


def structured(url: str, model: str) -> dict[str, Any]:
    parsed = chat(url, model).with_structured_output(Weather).invoke(QUESTION)
    assert isinstance(parsed, Weather)
    return {"json": parsed.model_dump()}


def structured_by_tool(url: str, model: str) -> dict[str, Any]:
    bound = chat(url, model).with_structured_output(Weather, method="function_calling")
    parsed = bound.invoke(QUESTION)
    assert isinstance(parsed, Weather)
    return {"json": parsed.model_dump()}


def joined(chunks: list[Any]) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert isinstance(whole, AIMessageChunk)
    return whole


def outcome(answer: Any) -> dict[str, Any]:
    counts = answer.usage_metadata
    return {
        "text": answer.text if USES_RESPONSES else answer.content,
        "finish": finish(answer),
        "usage": [counts["input_tokens"], counts["output_tokens"]],
    }


def finish(answer: Any) -> str:
    """Return the reason for the end; Responses has none but what is in the answer."""
    if USES_RESPONSES:
        assert answer.response_metadata["status"] == "completed"
        return "tool_calls" if answer.tool_calls else "stop"
    return str(answer.response_metadata["finish_reason"])


if __name__ == "__main__":
    run(
        {
            "text": text,
            "stream": stream,
            "agent": agent,
            "agent_at_once": agent_at_once,
            "agent_streamed": agent_streamed,
            "structured": structured,
            "structured_by_tool": structured_by_tool,
        }
    )
