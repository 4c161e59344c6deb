"""Gemini's requests."""

from typing import Any

import orjson

from domain.entities.prompt import Message, Prompt, Role
from infra.llm.providers.gemini.request import request_body

FAMILY = "gemini"


def body_of(prompt: Prompt, upstream: str = "gemini-3-flash") -> Any:
    return orjson.loads(request_body(prompt, upstream=upstream, family=FAMILY))


def test_a_question_is_sent_with_nothing_that_was_not_chosen() -> None:
    assert body_of(Prompt.from_text("Hi")) == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}]
    }


def test_everything_that_was_chosen_is_sent() -> None:
    prompt = Prompt(
        messages=(
            Message(role=Role.USER, text="Hi"),
            Message(role=Role.ASSISTANT, text="Hello."),
            Message(role=Role.USER, text="And?"),
        ),
        system="Be short.",
        temperature=0.0,
        max_output_tokens=7,
        top_p=0.9,
        stop=("END", "STOP"),
        seed=0,
    )
    assert body_of(prompt) == {
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello."}]},
            {"role": "user", "parts": [{"text": "And?"}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be short."}]},
        "generationConfig": {
            "temperature": 0.0,
            "maxOutputTokens": 7,
            "topP": 0.9,
            "stopSequences": ["END", "STOP"],
            "seed": 0,
        },
    }
