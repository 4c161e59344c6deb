"""What clients say about the provider's prompt cache goes to the providers that know it, and nowhere else."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from domain.entities.prompt import Prompt
from infra.history.format.documents import document_of
from infra.llm.providers.anthropic.request import request_body as anthropic_body
from infra.llm.providers.bedrock.request import request_body as bedrock_body
from infra.llm.providers.gemini.request import request_body as gemini_body
from infra.llm.providers.openai.client import default_dialect
from infra.llm.providers.openai.request import request_body as openai_body
from infra.llm.transport.dialect import Dialect
from infra.selftest.bedrock_rules import check_bedrock
from tests.fakes.anthropic_rules import check_anthropic
from tests.http.test_messages import RESULT, TOOLS, USE, application, post

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
OPENAI = default_dialect("https://api.openai.com/v1")
KEY = "a" * 64


def text(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


async def sent_prompt(**body: Any) -> Prompt:
    """Return the prompt that the model gets for a request of the Messages API."""
    asked = application()
    response = await post(asked, **body)
    assert response.status_code == 200, response.text
    return asked.llm.asked[0]


def to_anthropic(prompt: Prompt) -> Any:
    body = orjson.loads(
        anthropic_body(prompt, Dialect(), model="claude-sonnet-4-6", family="f", max_tokens=1000)
    )
    check_anthropic(body)
    return body


async def test_marks_arrive_at_anthropic_where_the_client_set_them() -> None:
    image = {"type": "url", "url": "https://example.org/a.png"}
    body = to_anthropic(
        await sent_prompt(
            system=[text("Be short."), text("Be kind.", cache_control=HOUR)],
            tools=[TOOLS[1], {**TOOLS[0], "input_examples": None}, TOOLS[2]],
            messages=[
                {
                    "role": "user",
                    "content": [text("A long document.", cache_control=MARK), text("Weather?")],
                },
                {"role": "assistant", "content": USE},
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": image},
                        RESULT[0],
                        {**RESULT[1], "cache_control": MARK},
                        text("So?"),
                    ],
                },
            ],
        )
    )
    assert body["system"] == [text("Be short.\n\nBe kind.", cache_control=HOUR)]
    assert [tool.get("cache_control") for tool in body["tools"]] == [None, MARK]
    first, _, last = body["messages"]
    assert first["content"] == [text("A long document.", cache_control=MARK), text("Weather?")]
    kinds = [(block["type"], block.get("cache_control")) for block in last["content"]]
    assert kinds == [
        ("tool_result", None),
        ("tool_result", MARK),
        ("image", None),
        ("text", None),
    ]


async def test_marks_split_a_text_that_they_stand_in() -> None:
    body = to_anthropic(
        await sent_prompt(
            system=[text("One.", cache_control=MARK), text("Two."), text("", cache_control=MARK)],
            messages=[
                {"role": "user", "content": [text("a", cache_control=MARK)]},
                {"role": "user", "content": [text("b"), text("c", cache_control=HOUR)]},
            ],
        )
    )
    assert body["system"] == [text("One.", cache_control=MARK), text("\n\nTwo.")]
    (message,) = body["messages"]
    assert message["content"] == [
        text("a", cache_control=MARK),
        text("\n\nbc", cache_control=HOUR),
    ]


async def test_the_mark_of_a_whole_request_arrives() -> None:
    assert to_anthropic(await sent_prompt(cache_control=HOUR))["cache_control"] == HOUR


async def test_marks_on_answers_of_the_model_arrive() -> None:
    body = to_anthropic(
        await sent_prompt(
            tools=TOOLS[:2],
            messages=[
                {"role": "user", "content": "Weather?"},
                {
                    "role": "assistant",
                    "content": [text("Let me see.", cache_control=MARK), USE[0]],
                },
                {"role": "user", "content": [RESULT[0]]},
                {"role": "assistant", "content": [text("22", cache_control=MARK)]},
                {"role": "user", "content": "And now?"},
            ],
        )
    )
    _, called, _, answered, _ = body["messages"]
    assert called["content"][0] == text("Let me see.", cache_control=MARK)
    assert "cache_control" not in called["content"][1]
    assert answered["content"] == [text("22", cache_control=MARK)]


@pytest.mark.parametrize(
    "control", [None, {}, "ephemeral", {"type": "other"}, {"type": "ephemeral", "ttl": ["9h"]}]
)
async def test_a_mark_that_makes_no_sense_harms_nothing(control: Any) -> None:
    prompt = await sent_prompt(
        messages=[{"role": "user", "content": [text("Hi", cache_control=control)]}]
    )
    (message,) = to_anthropic(prompt)["messages"]
    is_mark = isinstance(control, dict) and control.get("type") == "ephemeral"
    assert message["content"] == ([text("Hi", cache_control=MARK)] if is_mark else "Hi")


CLAUDE = "us.anthropic.claude-sonnet-4-6"
POINT = {"cachePoint": {"type": "default"}}


def to_bedrock(prompt: Prompt) -> Any:
    body = orjson.loads(
        bedrock_body(
            prompt, Dialect(cache_points=True), upstream=CLAUDE, family="f", max_tokens=1000
        )
    )
    check_bedrock(body)
    return body


async def test_marks_arrive_at_bedrock_where_the_client_set_them() -> None:
    body = to_bedrock(
        await sent_prompt(
            system=[text("Be short."), text("Be kind.", cache_control=HOUR)],
            tools=[TOOLS[1], {**TOOLS[0], "cache_control": MARK}],
            messages=[
                {
                    "role": "user",
                    "content": [text("A long document.", cache_control=MARK), text("Weather?")],
                },
                {"role": "assistant", "content": USE},
                {
                    "role": "user",
                    "content": [RESULT[0], {**RESULT[1], "cache_control": MARK}, text("So?")],
                },
            ],
        )
    )
    hour = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["system"] == [{"text": "Be short.\n\nBe kind."}, hour]
    assert body["toolConfig"]["tools"][-1] == POINT
    first, _, last = (message["content"] for message in body["messages"])
    assert first == [{"text": "A long document."}, POINT, {"text": "Weather?"}]
    kinds = [next(iter(block)) for block in last]
    assert kinds == ["toolResult", "toolResult", "cachePoint", "text"]


async def test_a_cache_key_marks_the_ends_at_bedrock() -> None:
    prompt = await openai_prompt("/v1/chat/completions", KEY)
    assert to_bedrock(prompt)["messages"][-1]["content"] == [{"text": "Hi"}, POINT]
    assert KEY not in str(to_bedrock(prompt))


async def test_marks_go_to_no_other_provider_and_not_into_history() -> None:
    marked = {
        "system": [text("Be short.", cache_control=MARK)],
        "tools": TOOLS[:1],
        "messages": [{"role": "user", "content": [text("Hi", cache_control=MARK)]}],
    }
    plain = {
        "system": "Be short.",
        "tools": [{**TOOLS[0], "cache_control": None}],
        "messages": [{"role": "user", "content": "Hi"}],
    }
    bodies, documents = [], []
    for body in (marked, plain):
        asked = application()
        await post(asked, **body)
        prompt = asked.llm.asked[0]
        bodies.append(
            (
                openai_body(prompt, OPENAI, model="m", family="f"),
                gemini_body(prompt, upstream="m", family="f"),
                bedrock_body(prompt, Dialect(), upstream="m", family="f", max_tokens=1),
            )
        )
        (kept,) = asked.history.kept.values()
        same = replace(
            kept, id="1", attempts=(), latency_seconds=0.0, time_to_first_token_seconds=None
        )
        documents.append(document_of(same))
    assert bodies[0] == bodies[1]
    assert documents[0] == documents[1]


async def openai_prompt(path: str, key: str | None) -> Prompt:
    asked = application()
    body: dict[str, Any] = {"prompt_cache_key": key} if key else {}
    question = [{"role": "user", "content": "Hi"}]
    body |= {"messages": question} if path.endswith("completions") else {"input": question}
    async with asked.client() as client:
        response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    return asked.llm.asked[0]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_a_cache_key_itself_goes_to_openai_alone(path: str) -> None:
    prompt = await openai_prompt(path, KEY)
    body = orjson.loads(openai_body(prompt, OPENAI, model="m", family="f"))
    assert body["prompt_cache_key"] == KEY
    for dialect in (Dialect(), default_dialect("https://openrouter.ai/api/v1")):
        assert b"cache" not in openai_body(prompt, dialect, model="m", family="f")
    assert b"cache" not in gemini_body(prompt, upstream="m", family="f")
    assert b"cache" not in anthropic_body(prompt, Dialect(), model="m", family="f", max_tokens=1)
    none = await openai_prompt(path, None)
    assert b"cache" not in openai_body(none, OPENAI, model="m", family="f")


async def test_a_key_that_openai_finds_too_long_is_replaced_by_its_hash() -> None:
    prompt = await openai_prompt("/v1/chat/completions", KEY + "b")
    key = orjson.loads(openai_body(prompt, OPENAI, model="m", family="f"))["prompt_cache_key"]
    assert len(key) == 64
    assert key not in (KEY, KEY[1:] + "b")


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/v1/chat/completions", {"prompt_cache_key": "k"}),
        ("/v1/messages", {"cache_control": MARK}),
    ],
)
async def test_a_repeated_request_may_differ_in_them(path: str, hint: dict[str, Any]) -> None:
    asked = application()
    headers = {"Idempotency-Key": "once"}
    limit = {"max_tokens": 10}  # that of the model
    first = await post(asked, path, headers, **limit)
    second = await post(asked, path, headers, **limit, **hint)
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(asked.llm.asked) == 1
