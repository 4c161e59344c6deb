"""Port for computing embeddings."""

from abc import abstractmethod
from typing import Protocol

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.embeddings.embedding import EmbeddingRequest, Embeddings


class EmbeddingClient(Protocol):
    """Computes the vectors of inputs.

    May be shared between tasks. Exceptions of drivers are translated to `LLMError`. A repeated call computes, and costs,
    again; the vectors are the same up to rounding.
    """

    @abstractmethod
    async def embed(self, request: EmbeddingRequest, context: ChatRequestContext) -> Embeddings:
        """Return one vector for each input, in the order of the inputs.

        Cancelling the call closes the connection to the provider.

        Args:
            request: The inputs.
            context: Deadlines shared by all attempts, and the list the attempts are added to.

        Raises:
            UnsupportedInput: The model's provider takes no lists of tokens.
            LLMTimeout: No complete answer in time.
            LLMUnavailable: Network failure, server error, or an unreadable answer.
            LLMRateLimited: The provider limits our rate.
            LLMMisconfigured: The provider rejects our credentials or model name.
            LLMRejected: The provider rejects this request.
            ContextTooLong: An input exceeds the model's limit.
            ContentBlocked: A safety filter refused the inputs.
            NoRoute: Every route is closed.
            Overloaded: Every provider is at its limit of concurrent calls.
        """
        ...
