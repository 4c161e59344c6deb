"""Sends requests for embeddings through the chain of their model."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Self

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.embeddings.embedding import EmbeddingRequest, Embeddings
from domain.exceptions import UnsupportedInput
from domain.interfaces.clock import Clock
from domain.interfaces.embedding_client import EmbeddingClient
from infra.llm.embeddings.call import EmbeddingCall
from infra.llm.resilience.fallback import Fallback
from infra.llm.resilience.fallback_order import FallbackPolicy
from infra.llm.resilience.route import Route


@dataclass(frozen=True, slots=True)
class EmbeddingChain:
    """The routes to one embeddings model.

    Attributes:
        for_texts: Calls all routes, in order.
        for_tokens: Calls those that take lists of tokens; None: there are none.
    """

    for_texts: Fallback
    for_tokens: Fallback | None

    @classmethod
    def of(cls, routes: Sequence[tuple[Route, bool]], policy: FallbackPolicy, clock: Clock) -> Self:
        """Return the chain of routes, each with whether it takes lists of tokens; at least one route."""
        all_routes = [route for route, _ in routes]
        taking_tokens = [route for route, takes_tokens in routes if takes_tokens]
        return cls(
            Fallback(all_routes, policy=policy, clock=clock),
            Fallback(taking_tokens, policy=policy, clock=clock) if taking_tokens else None,
        )


class EmbeddingRoutes(EmbeddingClient):
    """Calls the chain of the requested model."""

    def __init__(self, chains: Mapping[str, EmbeddingChain]) -> None:
        """Join chains.

        Args:
            chains: By catalogue id; one for every embeddings model.
        """
        self._chains = chains

    async def embed(self, request: EmbeddingRequest, context: ChatRequestContext) -> Embeddings:
        chain = self._chains[context.model]
        client = chain.for_tokens if request.has_tokens else chain.for_texts
        if client is None:
            raise UnsupportedInput("input", "lists of tokens, for this model")
        call = EmbeddingCall(request=request)
        async with aclosing(client.stream(call, context)) as events:
            async for _ in events:
                pass  # recorded on the way; the vectors are in the call
        return call.answers[-1]
