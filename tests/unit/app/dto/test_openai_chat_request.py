"""Whose interaction a request in OpenAI's format is, and whether it brings its context along."""

import base64
import hashlib
from typing import Any

import pytest

from app.dto.openai_chat.request import ChatCompletionRequest
from domain.entities.caller import ANONYMOUS, Caller, Scope

EVERYTHING = frozenset(Scope)
QUESTION = {"role": "user", "content": "hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/photo.png"}}
ANSWER = {"role": "assistant", "content": "ho"}


def a_request(**body: object) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate({"messages": [QUESTION], **body})


@pytest.mark.parametrize(
    ("caller", "body", "user"),
    [
        (Caller(principal="jwt:ana", user_id="ana", scopes=EVERYTHING), {"user": "bob"}, "ana"),
        (Caller(principal="key:k1", user_id="ana", scopes=EVERYTHING), {"user": "b b"}, "ana"),
        (Caller(principal="key:k1", scopes=EVERYTHING), {"user": "bob"}, "bob"),
        (
            Caller(principal="key:k1", scopes=EVERYTHING),
            {"user": "bob", "safety_identifier": "eve"},
            "bob",
        ),
        (Caller(principal="key:k1", scopes=EVERYTHING), {"safety_identifier": "eve"}, "eve"),
        (Caller(principal="key:k1", scopes=EVERYTHING), {}, "key:k1"),
        (ANONYMOUS, {"user": "bob"}, "bob"),
        (ANONYMOUS, {}, "anonymous"),
    ],
)
def test_the_user_is_the_bound_one_then_the_named_one_then_the_key(
    caller: Caller, body: dict[str, str], user: str
) -> None:
    assert a_request(**body).resolve_user_id(caller) == user


@pytest.mark.seen("C2")
@pytest.mark.parametrize("name", ["a b", "/ana", "ana\n", "x" * 129, "ána", "٣"])
def test_a_name_that_is_no_user_id_is_replaced_by_a_hash_of_it(name: str) -> None:
    digest = hashlib.sha256(name.encode()).digest()
    expected = "sub-" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
    for field in ("user", "safety_identifier"):
        assert a_request(**{field: name}).resolve_user_id(ANONYMOUS) == expected


@pytest.mark.parametrize(
    ("messages", "brings_context"),
    [
        ([QUESTION], False),
        ([{"role": "system", "content": "be"}, QUESTION], False),
        ([QUESTION, {"role": "developer", "content": "be"}], False),
        ([QUESTION, QUESTION], True),
        ([QUESTION, ANSWER, QUESTION], True),
        ([QUESTION, ANSWER], True),
        ([{"role": "assistant", "content": ""}, QUESTION], True),
        ([{"role": "user", "content": ""}, QUESTION], False),
        ([{"role": "user", "content": [IMAGE]}], False),
        ([{"role": "user", "content": [IMAGE]}, QUESTION], True),
    ],
)
def test_only_a_single_question_leaves_the_context_to_us(
    messages: list[dict[str, Any]], brings_context: bool
) -> None:
    assert a_request(messages=messages).brings_context is brings_context
