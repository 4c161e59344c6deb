"""pydantic-ai, with Chat Completions or, with the argument `responses`, with Responses."""

import asyncio
import sys
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models.openai import (
    OpenAIChatModel,
    OpenAIResponsesModel,
    OpenAIResponsesModelSettings,
)
from pydantic_ai.providers.openai import OpenAIProvider

from tests.e2e.clients.jobs import BOTH, PLAIN, QUESTION, find_city, get_weather, run


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    celsius: int


def chat(url: str, model: str) -> OpenAIChatModel | OpenAIResponsesModel:
    provider = OpenAIProvider(base_url=url, api_key="unused")
    if "responses" in sys.argv:
        settings = OpenAIResponsesModelSettings(openai_previous_response_id="auto")
        return OpenAIResponsesModel(model, provider=provider, settings=settings)
    return OpenAIChatModel(model, provider=provider)


def text(url: str, model: str) -> dict[str, Any]:
    return outcome(asyncio.run(Agent(chat(url, model)).run(PLAIN)))


def stream(url: str, model: str) -> dict[str, Any]:
    async def read() -> dict[str, Any]:
        async with Agent(chat(url, model)).run_stream(PLAIN) as result:
            pieces = [
                piece async for piece in result.stream_text(delta=True, debounce_by=None) if piece
            ]
        return {
            **counted(result),
            "text": "".join(pieces),
            "pieces": len(pieces),
            "finish": result.all_messages()[-1].finish_reason,
        }

    return asyncio.run(read())


def agent(url: str, model: str, question: str = QUESTION) -> dict[str, Any]:
    agent = Agent(chat(url, model), tools=[find_city, get_weather])
    return traced(asyncio.run(agent.run(question)))


def agent_at_once(url: str, model: str) -> dict[str, Any]:
    return agent(url, model, BOTH)


def agent_streamed(url: str, model: str) -> dict[str, Any]:
    async def read() -> dict[str, Any]:
        agent = Agent(chat(url, model), tools=[find_city, get_weather])
        async with agent.run_stream(QUESTION) as result:
            text = await result.get_output()
        return {**traced(result), "text": text}

    return asyncio.run(read())


def structured(url: str, model: str) -> dict[str, Any]:
    agent = Agent(chat(url, model), output_type=NativeOutput(Weather))
    return {"json": asyncio.run(agent.run(QUESTION)).output.model_dump()}


def structured_by_tool(url: str, model: str) -> dict[str, Any]:
    agent = Agent(chat(url, model), output_type=Weather)
    return {"json": asyncio.run(agent.run(QUESTION)).output.model_dump()}


def traced(result: Any) -> dict[str, Any]:
    answers = [message for message in result.all_messages() if isinstance(message, ModelResponse)]
    calls = [
        [part.tool_name, part.args_as_dict()]
        for answer in answers
        for part in answer.parts
        if isinstance(part, ToolCallPart)
    ]
    finishes = [answer.finish_reason for answer in answers]
    return {**outcome(result), "calls": calls, "finish": finishes}


def outcome(result: Any) -> dict[str, Any]:
    return {
        **counted(result),
        "text": getattr(result, "output", None),
        "finish": result.all_messages()[-1].finish_reason,
    }


def counted(result: Any) -> dict[str, Any]:
    counts = result.all_messages()[-1].usage
    return {"usage": [counts.input_tokens, counts.output_tokens]}


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
