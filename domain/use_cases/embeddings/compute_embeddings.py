"""Compute embeddings."""

from dataclasses import dataclass

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.embeddings.embedding import EmbeddingRequest, Embeddings
from domain.interfaces.clock import Clock
from domain.interfaces.embedding_client import EmbeddingClient


@dataclass(frozen=True, slots=True)
class ComputeEmbeddings:
    """Requests the vectors of inputs from a model, and measures the time. Nothing is stored."""

    client: EmbeddingClient
    clock: Clock

    async def __call__(self, request: EmbeddingRequest, context: ChatRequestContext) -> Embeddings:
        """Return the vectors in the order of the inputs; raises as `EmbeddingClient.embed`."""
        try:
            return await self.client.embed(request, context)
        finally:
            context.llm_seconds = self.clock.monotonic() - context.started_seconds
