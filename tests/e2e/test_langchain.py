"""langchain-openai against the real service."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI

from infra.selftest.provider import FaultProvider
from tests.support.service import Service

ANSWER = "All is well."
TOKENS = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}


@pytest.fixture
async def chat(service: Service) -> AsyncIterator[Callable[..., ChatOpenAI]]:
    with httpx2.Client(trust_env=False) as plain:
        async with httpx2.AsyncClient(trust_env=False) as asynchronous:

            def make(model: str = "gem-healthy", **options: Any) -> ChatOpenAI:
                return ChatOpenAI(
                    base_url=f"{service.url}/v1",
                    api_key="unused",
                    model=model,
                    max_retries=0,
                    http_client=plain,
                    http_async_client=asynchronous,
                    **options,
                )

            yield make


def test_invoke(chat: Callable[..., ChatOpenAI]) -> None:
    answer = chat().invoke("How are you?")
    assert isinstance(answer, AIMessage)
    assert answer.content == ANSWER
    assert answer.usage_metadata is not None
    assert {name: answer.usage_metadata[name] for name in TOKENS} == TOKENS  # type: ignore[literal-required]
    assert answer.response_metadata["model_name"] == "gem-healthy"
    assert answer.response_metadata["finish_reason"] == "stop"


def test_a_conversation_is_sent_as_it_is(
    chat: Callable[..., ChatOpenAI], provider: FaultProvider, service: Service
) -> None:
    model = chat("alt-healthy", model_kwargs={"user": "ana"}, temperature=0.5)
    model.invoke(
        [SystemMessage("Be short."), HumanMessage("one"), AIMessage("1"), HumanMessage("two")]
    )
    sent = provider.calls[-1].body
    assert [message["content"] for message in sent["messages"]] == ["Be short.", "one", "1", "two"]
    assert sent["temperature"] == 0.5
    with service.client() as client:
        (kept,) = client.get("/v1/history/ana").json()["history"]
    assert (kept["userPrompt"], kept["systemPrompt"], kept["temperature"]) == (
        "two",
        "Be short.",
        0.5,
    )


def test_stream(chat: Callable[..., ChatOpenAI]) -> None:
    chunks = list(chat(stream_usage=True).stream("How are you?"))
    assert "".join(str(chunk.content) for chunk in chunks) == ANSWER
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.usage_metadata is not None
    assert {name: whole.usage_metadata[name] for name in TOKENS} == TOKENS  # type: ignore[literal-required]


def test_batch(chat: Callable[..., ChatOpenAI]) -> None:
    answers = chat().batch([f"question {number}" for number in range(10)])
    assert [answer.content for answer in answers] == [ANSWER] * 10
    assert len({answer.response_metadata["id"] for answer in answers}) == 10


async def test_the_asynchronous_ways(chat: Callable[..., ChatOpenAI]) -> None:
    model = chat()
    assert (await model.ainvoke("hi")).content == ANSWER
    assert "".join([str(chunk.content) async for chunk in model.astream("hi")]) == ANSWER
    assert [answer.content for answer in await model.abatch(["a", "b"])] == [ANSWER] * 2


def test_a_failure_is_the_sdks_exception(chat: Callable[..., ChatOpenAI]) -> None:
    with pytest.raises(openai.BadRequestError) as blocked:
        chat("gem-blocked").invoke("hi")
    assert blocked.value.code == "content_filter"
    with pytest.raises(openai.APIError) as broken:
        list(chat("gem-cut").stream("hi"))
    assert broken.value.code == "providers_failed"
