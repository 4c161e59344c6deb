"""Requests of Chat Completions."""

from typing import Any

import orjson
import pytest

from domain.entities.prompt import Message, Prompt, Role
from infra.llm.providers.openai.request import limit_field, request_body
from infra.llm.transport.dialect import Dialect

FAMILY = "server a-model"


def body_of(prompt: Prompt, dialect: Dialect | None = None) -> Any:
    return orjson.loads(request_body(prompt, dialect or Dialect(), model="openai/x", family=FAMILY))


def test_a_question_is_sent_with_nothing_that_was_not_chosen() -> None:
    assert body_of(Prompt.from_text("Hi")) == {
        "model": "openai/x",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
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
        "model": "openai/x",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "And?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "max_tokens": 7,
        "top_p": 0.9,
        "stop": ["END", "STOP"],
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://my-company.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://openrouter.ai/api/v1", "max_tokens"),
        ("http://localhost:11434/v1", "max_tokens"),
        ("https://notopenai.com/v1", "max_tokens"),
    ],
)
def test_the_bound_on_output_is_named_as_the_server_knows_it(base_url: str, field: str) -> None:
    assert limit_field(base_url) == field
