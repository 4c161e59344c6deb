"""Instructions that ask for JSON, for APIs and models without a setting for it."""

from domain.entities.tools import ResponseFormat

_OBJECT = (
    "Answer with one JSON object and nothing else: no other text, and no code fence around it."
)
_VALUE = (
    "Answer with one JSON value that is valid by this JSON Schema and nothing else: no other text, and no code fence"
    " around it."
)


def json_instructions(wanted: ResponseFormat) -> str:
    """Return instructions that ask for the JSON of a response format."""
    return _OBJECT if wanted.schema is None else f"{_VALUE}\n{wanted.schema}"


def with_json_instructions(system: str, wanted: ResponseFormat) -> str:
    """Return `system` with instructions that ask for the JSON of a response format."""
    text = json_instructions(wanted)
    return f"{system}\n\n{text}" if system else text
