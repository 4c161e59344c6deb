"""The OpenAI Agents SDK, whose default API is Responses."""

import asyncio
import json
from typing import Any

from agents import (
    Agent,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.e2e.clients.jobs import BOTH, PLAIN, QUESTION, find_city, get_weather, run

set_tracing_disabled(disabled=True)


class Weather(BaseModel):
    city: str
    celsius: int


def agent_of(url: str, model: str, **options: Any) -> Agent[None]:
    client = AsyncOpenAI(base_url=url, api_key="unused", max_retries=0)
    return Agent(name="helper", model=OpenAIResponsesModel(model, client), **options)


def with_tools(url: str, model: str) -> Agent[None]:
    return agent_of(url, model, tools=[function_tool(find_city), function_tool(get_weather)])


async def asked(agent: Agent[None], question: str, **options: Any) -> Any:
    return await Runner.run(agent, question, run_config=RunConfig(), **options)


def text(url: str, model: str) -> dict[str, Any]:
    return outcome(asyncio.run(asked(agent_of(url, model), PLAIN)))


def stream(url: str, model: str) -> dict[str, Any]:
    async def read() -> dict[str, Any]:
        result = Runner.run_streamed(agent_of(url, model), PLAIN)
        pieces = [
            event.data.delta
            async for event in result.stream_events()
            if event.type == "raw_response_event"
            and event.data.type == "response.output_text.delta"
        ]
        return {**outcome(result), "text": "".join(pieces), "pieces": len(pieces)}

    return asyncio.run(read())


def agent(url: str, model: str, question: str = QUESTION) -> dict[str, Any]:
    return traced(asyncio.run(asked(with_tools(url, model), question)))


def agent_at_once(url: str, model: str) -> dict[str, Any]:
    return agent(url, model, BOTH)


def agent_stateful(url: str, model: str) -> dict[str, Any]:
    result = asked(with_tools(url, model), QUESTION, auto_previous_response_id=True)
    return traced(asyncio.run(result))


def agent_streamed(url: str, model: str) -> dict[str, Any]:
    async def read() -> dict[str, Any]:
        result = Runner.run_streamed(
            with_tools(url, model), QUESTION, auto_previous_response_id=True
        )
        async for _ in result.stream_events():
            pass
        return traced(result)

    return asyncio.run(read())


def structured(url: str, model: str) -> dict[str, Any]:
    result = asyncio.run(asked(agent_of(url, model, output_type=Weather), QUESTION))
    return {"json": result.final_output.model_dump()}


def traced(result: Any) -> dict[str, Any]:
    calls = [
        [item.raw_item.name, json.loads(item.raw_item.arguments)]
        for item in result.new_items
        if item.type == "tool_call_item"
    ]
    finishes = [
        "tool_calls" if any(item.type == "function_call" for item in answer.output) else "stop"
        for answer in result.raw_responses
    ]
    return {**outcome(result), "calls": calls, "finish": finishes}


def outcome(result: Any) -> dict[str, Any]:
    counts = result.raw_responses[-1].usage
    return {
        "text": result.final_output,
        "finish": "stop",
        "usage": [counts.input_tokens, counts.output_tokens],
    }


if __name__ == "__main__":
    run(
        {
            "text": text,
            "stream": stream,
            "agent": agent,
            "agent_at_once": agent_at_once,
            "agent_stateful": agent_stateful,
            "agent_streamed": agent_streamed,
            "structured": structured,
        }
    )
