"""The built-in embeddings model, available without any key."""

import math
from array import array
from collections.abc import Sequence
from hashlib import shake_256

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.embeddings.embedding import EmbeddingRequest, Embeddings
from domain.exceptions import LLMRejected
from domain.interfaces.embedding_client import EmbeddingClient

MODEL = "demo-embeddings"

_USUAL_DIMENSIONS = 256
_MOST_DIMENSIONS = 1536
_BYTES_PER_NUMBER = 2
_MIDDLE = 2**15 - 0.5


class DemoEmbeddings(EmbeddingClient):
    """Returns vectors of length 1 that depend on the texts alone, without a key and a network.

    They have no meaning: similar texts have unrelated vectors. Reports no tokens, since counts are never guessed.
    """

    def __init__(self, model: str) -> None:
        """Be the model with this id in the catalogue."""
        self._model = model

    async def embed(self, request: EmbeddingRequest, context: ChatRequestContext) -> Embeddings:
        dimensions = request.dimensions or _USUAL_DIMENSIONS
        if dimensions > _MOST_DIMENSIONS:
            raise LLMRejected(f"at most {_MOST_DIMENSIONS} dimensions")
        return Embeddings(
            vectors=tuple([_vector(str(each), dimensions) for each in request.inputs]),
            model=self._model,
        )


def _vector(text: str, dimensions: int) -> Sequence[float]:
    digest = shake_256(text.encode(errors="surrogatepass")).digest(dimensions * _BYTES_PER_NUMBER)
    numbers = [
        int.from_bytes(digest[start : start + _BYTES_PER_NUMBER]) - _MIDDLE
        for start in range(0, len(digest), _BYTES_PER_NUMBER)
    ]
    length = math.hypot(*numbers)  # never 0, since no number is
    return array("d", [number / length for number in numbers])
