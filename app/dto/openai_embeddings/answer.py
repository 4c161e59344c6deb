"""Response body of POST /v1/embeddings."""

import sys
from array import array
from base64 import b64encode
from collections.abc import Sequence
from typing import Literal

import orjson
from pydantic import BaseModel, Field

from domain.entities.embeddings.embedding import Embeddings


class EmbeddingDto(BaseModel):
    """The vector of one input."""

    object: Literal["embedding"] = "embedding"
    index: int = Field(description="Position of the input in the request.", examples=[0])
    embedding: list[float] | str = Field(
        description="The vector; with `encoding_format` `base64` its base64.",
        examples=[[0.0123, -0.0456]],
    )


class EmbeddingUsage(BaseModel):
    """Token usage; 0 where the provider reports none."""

    prompt_tokens: int = Field(description="Tokens of all inputs.", examples=[8])
    total_tokens: int = Field(description="The same.", examples=[8])


class EmbeddingList(BaseModel):
    """The vectors in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[EmbeddingDto]
    model: str = Field(description="Model that computed them.", examples=["demo-embeddings"])
    usage: EmbeddingUsage


def embeddings_json(embeddings: Embeddings, *, is_base64: bool) -> bytes:
    """Return the JSON of the `EmbeddingList` for `embeddings`."""
    tokens = embeddings.usage.input_tokens or 0  # the format requires a number
    encode = _base64_of if is_base64 else list
    return orjson.dumps(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": encode(vector)}
                for index, vector in enumerate(embeddings.vectors)
            ],
            "model": embeddings.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _base64_of(vector: Sequence[float]) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode()
