"""Request body of POST /v1/embeddings."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from app.dto.texts import MAX_TEXT_BYTES, MAX_TOTAL_BYTES
from domain.entities.caller import Caller, to_user_id
from domain.entities.embeddings.embedding import EmbeddingInput, EmbeddingRequest

_MOST_INPUTS = 2048
_MOST_DIMENSIONS = 8192
_TOKEN_BOUND = 2**31
_NUMBERS = frozenset({int, float})
"""JSON's whole numbers may have a fraction of 0."""

EMBEDDING_EXAMPLES: dict[str, Any] = {
    "text": {
        "summary": "A text",
        "value": {"model": "demo-embeddings", "input": "An event loop waits for events."},
    },
    "texts": {
        "summary": "Several texts, with short vectors in base64",
        "value": {
            "model": "demo-embeddings",
            "input": ["An event loop waits for events.", "A thread waits by itself."],
            "dimensions": 8,
            "encoding_format": "base64",
        },
    },
}


def _to_inputs(value: Any) -> tuple[EmbeddingInput, ...]:
    """Return the inputs of all four forms: a text, texts, tokens, or lists of tokens."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise ValueError("must be a text or a list of texts, or tokens or a list of lists of them")
    if len(value) > _MOST_INPUTS and type(value[0]) not in _NUMBERS:
        raise ValueError(f"must have at most {_MOST_INPUTS} elements")
    kinds = set(map(type, value))
    if kinds <= _NUMBERS:
        return (_to_tokens(value),)
    if kinds == {str}:
        return _checked_texts(value)
    if kinds == {list}:
        return tuple([_to_tokens(tokens) for tokens in value])
    raise ValueError("must be a text or a list of texts, or tokens or a list of lists of them")


def _checked_texts(texts: list[str]) -> tuple[str, ...]:
    total_bytes = 0
    for text in texts:
        size_bytes = len(text.encode())
        if not text:
            raise ValueError("must not contain empty texts")
        if size_bytes > MAX_TEXT_BYTES:
            raise ValueError(f"must have at most {MAX_TEXT_BYTES} bytes of UTF-8 in each text")
        total_bytes += size_bytes
    if total_bytes > MAX_TOTAL_BYTES:
        raise ValueError("must have at most 8 MiB of text together")
    return tuple(texts)


def _to_tokens(tokens: list[Any]) -> tuple[int, ...]:
    if not tokens:
        raise ValueError("must not contain empty lists")
    is_valid = set(map(type, tokens)) <= _NUMBERS and 0 <= min(tokens) <= max(tokens) < _TOKEN_BOUND
    numbers = tuple(map(int, tokens)) if is_valid else ()
    if numbers != tuple(tokens):
        raise ValueError("must have whole numbers from 0 to 2147483647 as tokens")
    return numbers


_TEXT = {"type": "string", "minLength": 1}
_TOKENS = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": _TOKEN_BOUND - 1},
    "minItems": 1,
}
Inputs = Annotated[
    Any,
    AfterValidator(_to_inputs),
    WithJsonSchema(
        {
            "anyOf": [
                _TEXT,
                {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": _MOST_INPUTS},
                _TOKENS,
                {"type": "array", "items": _TOKENS, "minItems": 1, "maxItems": _MOST_INPUTS},
            ]
        }
    ),
]


class EmbeddingsRequest(BaseModel):
    """Body of POST /v1/embeddings; fields that are not listed are ignored."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra={"examples": [EMBEDDING_EXAMPLES["text"]["value"]]},
    )

    input: Inputs = Field(
        description="A text, or a list of at most 2048 texts; at most 1 MiB each and 8 MiB together. Lists of tokens only for models of an OpenAI-compatible provider; the tokens are those of the model."
    )
    model: Annotated[str, Field(max_length=256)] = Field(
        description="An id or alias of GET /v1/models with the capability `embeddings`."
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        default=None,
        description="`float`, the default: lists of numbers; `base64`: little-endian numbers of 32 bits.",
    )
    dimensions: int | None = Field(
        default=None,
        ge=1,
        le=_MOST_DIMENSIONS,
        description="Length of the vectors, for models that can shorten them.",
    )
    user: str | None = Field(
        default=None,
        description="User on whose behalf the caller sends the request, if the credentials are not bound to one. Nothing is stored.",
    )

    def resolve_user_id(self, caller: Caller) -> str:
        """Return the id of the user: that of the caller, else `user`, converted by `to_user_id`, else the principal."""
        if caller.user_id is not None:
            return caller.user_id
        return to_user_id(self.user) if self.user else caller.principal

    def to_request(self) -> EmbeddingRequest:
        """Return the request of the domain."""
        return EmbeddingRequest(
            inputs=self.input,
            model=self.model,
            dimensions=self.dimensions,
            takes_single_precision=self.encoding_format == "base64",
        )
