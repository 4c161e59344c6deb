"""Made-up JSON for a schema."""

import time
from typing import Any

import jsonschema_rs
import pytest

from infra.llm.providers.schema_example import example_of

SCHEMAS: list[Any] = [
    {"type": "object", "properties": {"city": {"type": "string"}, "celsius": {"type": "number"}}},
    {"type": "string", "minLength": 40, "maxLength": 50},
    {"type": "string", "maxLength": 3},
    {"type": "string", "format": "date-time"},
    {"type": "integer", "minimum": 5, "maximum": 9},
    {"type": "number", "exclusiveMinimum": 5},
    {"type": "integer", "maximum": -4},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3},
    {"type": "array", "maxItems": 0},
    {"type": ["null", "string"]},
    {"enum": ["a", "b"]},
    {"const": {"a": 1}},
    {"anyOf": [{"type": "boolean"}, {"type": "string"}]},
    {"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
    {"$ref": "#/$defs/a~1b%20c", "$defs": {"a": {}, "a/b c": {"type": "integer"}}},
    {"$ref": "#/anyOf/1", "anyOf": [{"type": "string"}, {"type": "integer"}]},
    {
        "type": "object",
        "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}},
        "required": ["next"],
    },
    {},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_an_example_fits_its_schema(schema: Any) -> None:
    value = example_of(schema)
    assert jsonschema_rs.is_valid(schema, value)


_TREE = {"$ref": "#/$defs/a0"}
_DEFINITIONS = {
    f"a{n}": {
        "type": "object",
        "properties": {name: {"$ref": f"#/$defs/a{n + 1}"} for name in "abcdefghij"},
    }
    for n in range(20)
}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 10**12},
        {"type": "array", "minItems": 10**12, "items": {"type": "integer"}},
        {"type": "array", "minItems": 9, "items": {"$ref": "#"}},
        {**_TREE, "$defs": _DEFINITIONS},
        {"$ref": "#"},
    ],
    ids=["text", "items", "nested-items", "tree", "itself"],
)
def test_an_example_is_small_whatever_its_schema_asks_for(schema: Any) -> None:
    started = time.process_time()
    assert len(str(example_of(schema))) < 100_000
    assert time.process_time() - started < 1
