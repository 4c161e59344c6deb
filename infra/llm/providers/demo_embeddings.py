"""The built-in embeddings model, available without any key."""

import asyncio
import math
import sys
from array import array
from collections.abc import Sequence
from hashlib import shake_256

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.embeddings.embedding import EmbeddingInput, EmbeddingRequest, Embeddings
from domain.interfaces.embedding_client import EmbeddingClient

MODEL = "demo-embeddings"

_USUAL_DIMENSIONS = 256
_LARGE_NUMBERS = 65_536
"""Numbers that are computed in a thread, so that other requests need not wait."""
_BYTES_PER_NUMBER = 2
_MIDDLE = 2**15 - 0.5


class DemoEmbeddings(EmbeddingClient):
    """Returns vectors of length 1 that depend on the inputs alone, without a key and a network.

    They have no meaning: similar inputs have unrelated vectors. Reports no tokens, since counts are never guessed.
    """

    def __init__(self, model: str) -> None:
        """Be the model with this id in the catalogue."""
        self._model = model

    async def embed(self, request: EmbeddingRequest, context: ChatRequestContext) -> Embeddings:
        dimensions = request.dimensions or _USUAL_DIMENSIONS
        if dimensions * len(request.inputs) > _LARGE_NUMBERS:
            vectors = await asyncio.to_thread(_vectors, request.inputs, dimensions)
        else:
            vectors = _vectors(request.inputs, dimensions)
        return Embeddings(vectors=vectors, model=self._model)


def _vectors(inputs: Sequence[EmbeddingInput], dimensions: int) -> tuple[Sequence[float], ...]:
    return tuple([_vector(str(each), dimensions) for each in inputs])


def _vector(text: str, dimensions: int) -> Sequence[float]:
    numbers_of_text = array("H", shake_256(text.encode()).digest(dimensions * _BYTES_PER_NUMBER))
    if sys.byteorder == "big":
        numbers_of_text.byteswap()
    numbers = [number - _MIDDLE for number in numbers_of_text]
    length = math.hypot(*numbers)  # never 0, since no number is
    return array("d", [number / length for number in numbers])
