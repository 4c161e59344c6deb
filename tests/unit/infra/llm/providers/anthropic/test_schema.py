"""Schemas as Anthropic's structured outputs accept them."""

from typing import Any

import pytest

from infra.llm.providers.anthropic.schema import supported_schema

CLOSED = {"additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (True, True),
        ({"type": "object", "additionalProperties": True}, {"type": "object", **CLOSED}),
        ({"properties": {"enum": {"const": 1}}}, {"properties": {"enum": {"const": 1}}, **CLOSED}),
        ({"type": ["object", "null"]}, {"type": ["object", "null"], **CLOSED}),
        ({"oneOf": [{"type": "object"}, True]}, {"anyOf": [{"type": "object", **CLOSED}, True]}),
        (
            {"type": "array", "minItems": 1, "items": {"type": "object"}},
            {"type": "array", "minItems": 1, "items": {"type": "object", **CLOSED}},
        ),
        (
            {"type": "integer", "description": "A number", "minimum": 1, "maximum": 10},
            {"type": "integer", "description": "A number\n\n{minimum: 1, maximum: 10}"},
        ),
        (
            {"type": "string", "format": "date", "$schema": "x"},
            {"type": "string", "format": "date"},
        ),
        ({"type": "string", "format": "x"}, {"type": "string", "description": "{format: x}"}),
        (
            {"$ref": "#/$defs/a", "description": "x", "$defs": {"a": {"type": "object"}}},
            {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", **CLOSED}}},
        ),
        ({"enum": [{"type": "object"}]}, {"enum": [{"type": "object"}]}),
    ],
)
def test_a_schema_is_closed_and_keeps_what_is_supported(schema: Any, expected: Any) -> None:
    assert supported_schema(schema) == expected
