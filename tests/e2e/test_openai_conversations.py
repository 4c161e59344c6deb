"""What the official `openai` package gets from /v1/conversations."""

from collections.abc import Iterator

import openai
import pytest
from openai.types.conversations import (
    Conversation,
    ConversationDeletedResource,
    ConversationItemList,
    Message,
)
from openai.types.responses import ResponseFunctionToolCallItem
from pydantic import TypeAdapter

from tests.e2e.openai_client import Counted
from tests.e2e.test_openai_sdk import is_exactly
from tests.support.service import Service

ANSWER = "All is well."


@pytest.fixture
def client(service: Service) -> Iterator[Counted]:
    with Counted(service.url) as client:
        yield client


def test_a_conversation_from_its_creation_to_its_deletion(client: Counted) -> None:
    made = client.conversations.create(
        metadata={"topic": "demo"},
        items=[{"type": "message", "role": "user", "content": "Hello!"}],
    )
    assert isinstance(made, Conversation)
    assert is_exactly(made)
    assert client.conversations.retrieve(made.id) == made
    changed = client.conversations.update(made.id, metadata={"topic": "other"})
    assert is_exactly(changed)
    assert changed.metadata == {"topic": "other"}
    deleted = client.conversations.delete(made.id)
    assert isinstance(deleted, ConversationDeletedResource)
    assert is_exactly(deleted)
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


def test_items_are_added_listed_read_and_deleted(client: Counted) -> None:
    made = client.conversations.create()
    added = client.conversations.items.create(
        made.id,
        items=[
            {"type": "message", "role": "user", "content": "What is six times seven?"},
            {"type": "function_call", "call_id": "c1", "name": "times", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
        ],
    )
    assert isinstance(added, ConversationItemList)
    assert is_exactly(added)
    question, call, _ = added.data
    assert isinstance(question, Message)
    assert isinstance(call, ResponseFunctionToolCallItem)
    answer = client.responses.create(model="alt-healthy", conversation=made.id, input="And now?")
    assert answer.output_text == ANSWER
    assert answer.conversation is not None
    assert answer.conversation.id == made.id
    oldest_first = list(client.conversations.items.list(made.id, order="asc", limit=2))
    assert [item.type for item in oldest_first] == [
        *["message", "function_call", "function_call_output", "message", "message"]
    ]
    newest_first = list(client.conversations.items.list(made.id, limit=1))
    assert newest_first == oldest_first[::-1]
    for item in oldest_first:
        assert item.id is not None
        found = client.conversations.items.retrieve(item.id, conversation_id=made.id)
        assert found == item
        TypeAdapter(type(item)).validate_python(item.model_dump(), strict=True)
    left = client.conversations.items.delete(question.id, conversation_id=made.id)
    assert left == made
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.retrieve(question.id, conversation_id=made.id)
    with pytest.raises(openai.BadRequestError) as refused:
        client.conversations.items.delete(str(oldest_first[-1].id), conversation_id=made.id)
    assert refused.value.code == "unsupported_parameter"
