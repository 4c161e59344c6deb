"""LlamaIndex, in an environment of its own, which `make llama-index` makes."""

import asyncio
from collections.abc import Sequence
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

from tests.e2e.clients.jobs import BOTH, PLAIN, QUESTION, find_city, get_weather, run

ASKING = [ChatMessage(role="user", content=PLAIN)]


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    celsius: int


def chat(url: str, model: str, **options: Any) -> OpenAILike:
    return OpenAILike(
        model=model,
        api_base=url,
        api_key="unused",
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
        **options,
    )


def text(url: str, model: str) -> dict[str, Any]:
    answer = chat(url, model).chat(ASKING)
    return {
        "text": answer.message.content,
        "finish": answer.raw.choices[0].finish_reason,
        "usage": usage(answer.raw.usage),
    }


def stream(url: str, model: str) -> dict[str, Any]:
    options = {"stream_options": {"include_usage": True}}
    answers = list(chat(url, model).stream_chat(ASKING, **options))
    pieces = [answer.delta for answer in answers if answer.delta]
    choices = [answer.raw.choices[0] for answer in answers if answer.raw.choices]
    return {
        "text": "".join(pieces),
        "pieces": len(pieces),
        "finish": choices[-1].finish_reason,
        "usage": usage(answers[-1].raw.usage),
    }


def agent(url: str, model: str) -> dict[str, Any]:
    return asyncio.run(agent_run(url, model, QUESTION, streaming=False))


def agent_at_once(url: str, model: str) -> dict[str, Any]:
    return asyncio.run(agent_run(url, model, BOTH, streaming=False))


def agent_streamed(url: str, model: str) -> dict[str, Any]:
    return asyncio.run(agent_run(url, model, QUESTION, streaming=True))


async def agent_run(url: str, model: str, question: str, *, streaming: bool) -> dict[str, Any]:
    agent = FunctionAgent(
        tools=[FunctionTool.from_defaults(function) for function in (find_city, get_weather)],
        llm=chat(url, model),
        streaming=streaming,
    )
    running = agent.run(question)
    calls = [
        [event.tool_name, event.tool_kwargs]
        async for event in running.stream_events()
        if isinstance(event, ToolCallResult)
    ]
    answer = await running
    return {"text": answer.response.content, "calls": in_order(calls)}


def in_order(calls: Sequence[list[Any]]) -> list[list[Any]]:
    """Return the calls by name, since those of one answer run side by side."""
    return sorted(calls, key=lambda call: str(call[0]))


def structured(url: str, model: str) -> dict[str, Any]:
    structured = chat(url, model, should_use_structured_outputs=True).as_structured_llm(Weather)
    return {"json": structured.chat(ASKING).raw.model_dump()}


def structured_by_tool(url: str, model: str) -> dict[str, Any]:
    structured = chat(url, model).as_structured_llm(Weather)
    return {"json": structured.chat(ASKING).raw.model_dump()}


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
            "structured_by_tool": structured_by_tool,
        }
    )
