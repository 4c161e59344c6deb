"""Writes JSON Schemas with the keywords that Anthropic's structured outputs support."""

_KEPT = frozenset({"enum", "const", "default", "description", "title", "type", "required"})
_SCHEMAS = frozenset({"items", "additionalItems", "contains", "not"})
_LISTS = frozenset({"anyOf", "allOf"})
_NAMED = frozenset({"properties", "$defs", "definitions"})
_DROPPED = frozenset({"$schema", "$id", "$comment", "additionalProperties", "examples"})
_FORMATS = frozenset(
    {
        "date-time",
        "time",
        "date",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
        "uuid",
    }
)


def supported_schema(schema: object) -> object:
    """Return a parsed schema as Anthropic accepts it.

    Objects are closed, `oneOf` becomes `anyOf`, and other constraints become a part of the description, as in
    Anthropic's own clients: the model may follow them.
    """
    if not isinstance(schema, dict):
        return schema
    changed: dict[str, object] = {}
    others: dict[str, object] = {}
    for keyword, value in schema.items():
        if keyword in _NAMED and isinstance(value, dict):
            changed[keyword] = {name: supported_schema(inner) for name, inner in value.items()}
        elif keyword in _LISTS and isinstance(value, list):
            changed[keyword] = [supported_schema(inner) for inner in value]
        elif keyword == "oneOf" and isinstance(value, list):
            changed["anyOf"] = [supported_schema(inner) for inner in value]
        elif keyword in _SCHEMAS:
            changed[keyword] = supported_schema(value)
        elif keyword in _KEPT or keyword == "$ref" or _is_supported(keyword, value):
            changed[keyword] = value
        elif keyword not in _DROPPED:
            others[keyword] = value
    if "$ref" in changed:
        return {name: value for name, value in changed.items() if name in {"$ref", *_NAMED}}
    if _is_object(changed):
        changed["additionalProperties"] = False
    if others:
        constraints = ", ".join(f"{keyword}: {value}" for keyword, value in others.items())
        texts = [str(changed.get("description", "")), f"{{{constraints}}}"]
        changed["description"] = "\n\n".join(filter(None, texts))
    return changed


def _is_supported(keyword: str, value: object) -> bool:
    if keyword == "format":
        return value in _FORMATS
    return keyword == "minItems" and value in (0, 1)


def _is_object(schema: dict[str, object]) -> bool:
    kind = schema.get("type")
    return (
        kind == "object" or "properties" in schema or (isinstance(kind, list) and "object" in kind)
    )
