"""The record of a conversation in a file has the items that a store can hold, or is refused."""

from typing import Any

import orjson
import pytest

from domain.entities.conversation import AddedItem, ConversationRecord
from domain.entities.items import Attachment, Text, ToolResult
from domain.entities.prompt import Message, Role
from infra.history.transfer.conversation_lines import line_of_conversation, read_conversation
from infra.history.transfer.jsonl_format import InvalidLine
from tests.fakes.interactions import an_id

RECORD = ConversationRecord(
    user_id="ana",
    conversation_id="c",
    created_id=an_id(1),
    changed_id=an_id(3),
    items=(
        AddedItem(id=an_id(2), message=Message(role=Role.USER, text="alone")),
        AddedItem(
            id=an_id(3),
            message=Message(
                role=Role.USER,
                text="see",
                items=(
                    ToolResult(call_id="call_0", output="[1]", is_json=True),
                    Text(text="see"),
                    Attachment(media_type="image/png", url="https://example.com/a"),
                ),
            ),
        ),
    ),
)


def test_a_record_that_was_exported_comes_back_as_it_was() -> None:
    assert read_conversation(line_of_conversation(RECORD)) == RECORD


@pytest.mark.parametrize(
    "item",
    [
        {"type": "tool_call", "id": 1, "name": None, "arguments": 5},
        {"type": "reasoning", "text": 7},
        {"type": "text", "length": 2},
        {"type": "text", "length": -3},
        {"type": "tool_result", "callId": "call_0", "output": "not JSON", "isJson": True},
        {"type": "attachment", "mediaType": 4, "bytes": "x"},
    ],
)
def test_items_of_wrong_types_are_refused(item: dict[str, Any]) -> None:
    fields = orjson.loads(line_of_conversation(RECORD))
    fields["conversation"]["items"][1]["items"] = [item]
    with pytest.raises(InvalidLine):
        read_conversation(orjson.dumps(fields))
