"""Routes each request to the chain of its model."""

from collections.abc import AsyncGenerator, Mapping

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent
from domain.interfaces.llm_client import LLMClient


class Routes(LLMClient):
    """Calls the chain of the requested model."""

    def __init__(self, chains: Mapping[str, LLMClient]) -> None:
        """Join chains.

        Args:
            chains: By catalogue id; one for every model.
        """
        self._chains = chains

    def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        return self._chains[context.model].stream(prompt, context)
