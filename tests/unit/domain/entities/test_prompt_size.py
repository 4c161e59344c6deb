"""The size of a prompt: everything that the model reads."""

from dataclasses import replace
from typing import Any

import pytest

from domain.entities.items import Text, ToolCall, ToolResult
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.tools import ResponseFormat, Tool

PROMPT = Prompt.from_text("é", system="sys")


@pytest.mark.parametrize(
    ("changes", "more_bytes"),
    [
        ({}, 0),
        ({"tools": (Tool(name="abc"),)}, 3),
        ({"tools": (Tool(name="abc", description="é", parameters="{}"),)}, 7),
        ({"response_format": ResponseFormat()}, 0),
        ({"response_format": ResponseFormat(schema='{"a":1}')}, 7),
    ],
)
def test_instructions_tools_and_the_schema_count(changes: dict[str, Any], more_bytes: int) -> None:
    assert replace(PROMPT, **changes).size_bytes == 5 + more_bytes


def test_calls_and_results_count() -> None:
    call = ToolCall(id="call_1", name="abc", arguments="{}")
    items = (ToolResult(call_id="call_1", output="éé"), Text(text="x"))
    messages = (
        *PROMPT.messages,
        Message(role=Role.ASSISTANT, text="", items=(call,)),
        Message(role=Role.USER, text="x", items=items),
    )
    assert replace(PROMPT, messages=messages).size_bytes == 5 + 5 + 5
