"""Calls of embeddings models in the form of chats, so that the resilience of chats applies to them."""

from collections.abc import AsyncGenerator
from dataclasses import field

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.embeddings.embedding import EmbeddingRequest, Embeddings
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import AnswerEvent, FinishReason, ProviderSelected, Reply
from domain.entities.tools import Capability
from domain.immutable import immutable
from domain.interfaces.embedding_client import EmbeddingClient
from domain.interfaces.llm_client import LLMClient

_NO_TEXT = (Message(role=Role.USER, text=""),)


@immutable
class EmbeddingCall(Prompt):
    """A request for embeddings on its way through a chain, which passes it on unchanged.

    Attributes:
        answers: Receives the answer of the model that answers.
    """

    messages: tuple[Message, ...] = _NO_TEXT
    request: EmbeddingRequest
    answers: list[Embeddings] = field(default_factory=list, compare=False)

    def required_capabilities(self) -> frozenset[Capability]:
        return frozenset({Capability.EMBEDDINGS})


class EmbeddingEvents(LLMClient):
    """Answers an `EmbeddingCall` at the end of a chain with the events of an answer without text."""

    def __init__(self, inner: EmbeddingClient, *, provider: str, model: str) -> None:
        """Wrap the client of one model.

        Args:
            inner: The client.
            provider: The provider's name in the catalogue.
            model: The model's id in the catalogue.
        """
        self._inner = inner
        self._selected = ProviderSelected(provider=provider, model=model)

    async def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        assert isinstance(prompt, EmbeddingCall)
        yield self._selected
        embeddings = await self._inner.embed(prompt.request, context)
        prompt.answers.append(embeddings)
        yield Reply(finish_reason=FinishReason.STOP, usage=embeddings.usage)
