"""Makes up JSON that fits a JSON Schema, for the demo model."""

from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 16
_TEXTS_BY_FORMAT = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "ana@example.com",
    "uri": "https://example.com/",
    "uuid": "019aabb1-7c80-7000-8a51-0f1d2c3b4a59",
}


def example_of(schema: Any) -> Any:
    """Return a value for the usual keywords of a JSON Schema: given values, types, bounds, alternatives, local references.

    Patterns and conditions are not considered, so that the value does not fit every schema.
    """
    return _example(schema, schema, 0)


def _example(schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return {}
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for name in ("enum", "examples"):
        if isinstance(values := schema.get(name), list) and values:
            return values[0]
    if isinstance(reference := schema.get("$ref"), str):
        return _example(_referenced(reference, root), root, depth + 1)
    for name in ("anyOf", "oneOf"):
        if isinstance(choices := schema.get(name), list) and choices:
            return _example(choices[0], root, depth + 1)
    if isinstance(parts := schema.get("allOf"), list) and parts:
        values = [_example(part, root, depth + 1) for part in parts]
        if all(isinstance(value, dict) for value in values):
            return {name: part for value in values for name, part in value.items()}
        return values[0]
    return _of_type(schema, root, depth)


def _of_type(schema: Mapping[str, Any], root: Any, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    match kind:
        case "string":
            text = _TEXTS_BY_FORMAT.get(str(schema.get("format")), "example")
            return text.ljust(int(schema.get("minLength", 0)), ".")[: schema.get("maxLength")]
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return True
        case "null":
            return None
        case "array":
            count = max(int(schema.get("minItems", 1)), 1) if schema.get("maxItems") != 0 else 0
            return [_example(schema.get("items", {}), root, depth + 1) for _ in range(count)]
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {name: _example(part, root, depth + 1) for name, part in properties.items()}


def _number(schema: Mapping[str, Any]) -> Any:
    if "minimum" in schema:
        return schema["minimum"]
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"] + 1
    largest = schema.get("maximum", schema.get("exclusiveMaximum", 2) - 1)
    return min(1, largest)


def _referenced(reference: str, root: Any) -> Any:
    found = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            found = found.get(step, {}) if isinstance(found, Mapping) else {}
    return found
