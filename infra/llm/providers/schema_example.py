"""Generates JSON that fits a JSON Schema, for the demo model."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

_MAX_DEPTH = 16
_MAX_VALUES = 1000
_MAX_CHARACTERS = 1000
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

    Patterns and conditions are not considered, and the size of the value is limited, so that it does not fit every
    schema.
    """
    return _Example(schema).of(schema, 0)


class _Example:
    """Generates one value, part by part.

    Args:
        root: The whole schema, for references.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _MAX_VALUES

    def of(self, schema: Any, depth: int) -> Any:
        """Return a value for a part of the schema; an empty object where it is too deep, or the whole too large."""
        self._left -= 1
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH or self._left < 0:
            return {}
        for name in ("const", "default"):
            if name in schema:
                return schema[name]
        for name in ("enum", "examples"):
            if isinstance(values := schema.get(name), list) and values:
                return values[0]
        if isinstance(reference := schema.get("$ref"), str):
            return self.of(_referenced(reference, self._root), depth + 1)
        for name in ("anyOf", "oneOf"):
            if isinstance(choices := schema.get(name), list) and choices:
                return self.of(choices[0], depth + 1)
        if isinstance(parts := schema.get("allOf"), list) and parts:
            values = [self.of(part, depth + 1) for part in parts]
            if all(isinstance(value, dict) for value in values):
                return {name: part for value in values for name, part in value.items()}
            return values[0]
        return self._of_type(schema, depth)

    def _of_type(self, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = kind[0] if kind else None
        match kind:
            case "string":
                return _text(schema)
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return True
            case "null":
                return None
            case "array":
                return self._items(schema, depth)
        properties = schema.get("properties")
        if not isinstance(properties, Mapping):
            return {}
        return {name: self.of(part, depth + 1) for name, part in properties.items()}

    def _items(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        if schema.get("maxItems") == 0:
            return []
        items: list[Any] = []
        for _ in range(max(int(schema.get("minItems", 1)), 1)):
            if self._left <= 0:
                break
            items.append(self.of(schema.get("items", {}), depth + 1))
        return items


def _text(schema: Mapping[str, Any]) -> str:
    text = _TEXTS_BY_FORMAT.get(str(schema.get("format")), "example")
    least = min(int(schema.get("minLength", 0)), _MAX_CHARACTERS)
    most = int(schema.get("maxLength", _MAX_CHARACTERS))
    return text.ljust(least, ".")[:most]


def _number(schema: Mapping[str, Any]) -> Any:
    if "minimum" in schema:
        return schema["minimum"]
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"] + 1
    largest = schema.get("maximum", schema.get("exclusiveMaximum", 2) - 1)
    return min(1, largest)


def _referenced(reference: str, root: Any) -> Any:
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return found
