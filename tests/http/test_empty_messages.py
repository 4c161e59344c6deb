"""Messages without any text in a list at the OpenAI door."""

from typing import Any

import httpx2
import pytest
from openai.types.chat import ChatCompletionMessageParam

from infra.selftest.provider import FaultProvider
from tests.e2e.openai_client import Counted
from tests.http.openai_door import QUESTION, complete, is_error
from tests.support.service import Service

HELLO = {"role": "user", "content": "Hello"}
HI = {"role": "assistant", "content": "Hi."}
EMPTY: list[dict[str, Any]] = [
    {"role": "user", "content": ""},
    {"role": "user", "content": None},
    {"role": "user"},
    {"role": "user", "content": []},
    {"role": "user", "content": [{"type": "text", "text": ""}]},
]


def sent_roles(provider: FaultProvider) -> list[str]:
    """The turns that the provider was sent last, in the words of either wire."""
    body = provider.calls[-1].body
    turns = body["contents"] if "contents" in body else body["messages"]
    return ["assistant" if turn["role"] == "model" else turn["role"] for turn in turns]


@pytest.mark.seen("C1")
@pytest.mark.parametrize("model", ["gem-healthy", "alt-healthy"])
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("empty", EMPTY, ids=str)
def test_an_empty_message_in_the_middle_is_left_out(
    client: httpx2.Client,
    user: str,
    provider: FaultProvider,
    model: str,
    is_streamed: bool,
    empty: dict[str, Any],
) -> None:
    messages = [HELLO, HI, empty, HI, QUESTION]
    response = complete(client, user, model=model, messages=messages, stream=is_streamed)
    assert response.status_code == 200, response.text
    assert sent_roles(provider) == ["user", "assistant", "assistant", "user"]
    kept = client.get(f"/v1/history/{user}").json()["history"][0]
    assert kept["userPrompt"] == QUESTION["content"]


@pytest.mark.seen("C1")
@pytest.mark.parametrize("model", ["gem-healthy", "alt-healthy"])
def test_white_space_is_text_and_is_sent(
    client: httpx2.Client, user: str, provider: FaultProvider, model: str
) -> None:
    messages = [{"role": "user", "content": " \n"}, HI, QUESTION]
    assert complete(client, user, model=model, messages=messages).status_code == 200
    assert sent_roles(provider) == ["user", "assistant", "user"]


@pytest.mark.seen("C1")
@pytest.mark.parametrize("before", [[], [HELLO, HI]], ids=["alone", "after others"])
@pytest.mark.parametrize("after", [[], [HI]], ids=["last", "before an answer"])
@pytest.mark.parametrize("empty", EMPTY, ids=str)
def test_the_users_last_message_has_to_say_something(
    client: httpx2.Client,
    user: str,
    provider: FaultProvider,
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    empty: dict[str, Any],
) -> None:
    calls = len(provider.calls)
    response = complete(client, user, messages=[*before, empty, *after])
    error = is_error(response, 422, "invalid_request")
    assert error["param"] == f"messages[{len(before)}].content"
    assert len(provider.calls) == calls


@pytest.mark.seen("C1")
def test_a_question_after_an_empty_message_is_still_a_single_question(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    filed = {"metadata": {"conversation_id": "c"}}
    assert complete(client, user, **filed).status_code == 200
    assert complete(client, user, messages=[EMPTY[0], QUESTION], **filed).status_code == 200
    assert sent_roles(provider) == ["user", "assistant", "user"]


@pytest.mark.seen("C1")
def test_the_official_client_can_go_on_with_a_conversation_that_has_an_empty_message(
    service: Service,
) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": ""},
        {"role": "assistant", "content": "What may I do for you?"},
        {"role": "user", "content": "How are you?"},
    ]
    with Counted(service.url) as client:
        answer = client.chat.completions.create(model="gem-healthy", messages=messages)
        assert answer.choices[0].message.content
