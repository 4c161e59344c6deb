"""Errors name fields of the request, whatever value a field has."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from app.dto.anthropic_messages.request import CountRequest, MessagesRequest
from app.dto.native.chat import ChatRequest
from app.dto.openai_chat.request import ChatCompletionRequest
from app.dto.openai_embeddings.request import EmbeddingsRequest
from app.dto.openai_responses.conversation import ConversationRequest
from app.dto.openai_responses.request import ResponseRequest
from app.problems.field_errors import field_errors

MODELS = (
    ChatCompletionRequest,
    ChatRequest,
    ConversationRequest,
    CountRequest,
    EmbeddingsRequest,
    MessagesRequest,
    ResponseRequest,
)
SENT = ("name", "function", "id")
INNER = ("foo", 5, 1.5, True, [], {}, {"name": "a b"}, {"id": 5})
VALUES = (
    *INNER,
    *([value] for value in INNER),
    *({name: value} for name in SENT for value in INNER),
    *({"type": kind} for kind in ("function", "allowed_tools", "json_schema", "text", 5)),
    {"type": "function", "function": {"name": "a b"}},
    {"type": "allowed_tools", "allowed_tools": {"mode": 5, "tools": [5, {"function": 5}]}},
    {"type": "json_schema", "json_schema": {"name": "a b", "schema": 5}},
)


def names_of(schema: Any) -> Iterator[str]:
    """Yield the names of all properties in a JSON Schema."""
    if isinstance(schema, Mapping):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from names_of(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from names_of(value)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_each_step_of_a_pointer_is_a_field_or_a_number(model: type[BaseModel]) -> None:
    schema = model.model_json_schema()
    for field in schema["properties"]:
        for value in VALUES:
            known = {*names_of(schema), *SENT, *(value if isinstance(value, dict) else ())}
            for pointer in pointers(model, {field: value}):
                _, *steps = pointer.split("/")
                assert all(step in known or step.isdigit() for step in steps), (field, value)


def pointers(model: type[BaseModel], body: dict[str, object]) -> list[str]:
    """Return the pointers of the errors that `model` finds in a body."""
    try:
        model.model_validate(body)
    except ValidationError as error:
        found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        return [each["pointer"] for each in field_errors(found)]
    return []
