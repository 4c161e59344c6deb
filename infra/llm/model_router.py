"""Which chain answers which model."""

from collections.abc import AsyncGenerator, Mapping

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent
from domain.interfaces.llm_client import LLMClient


class Routes(LLMClient):
    """Asks the chain of the model that the turn was resolved to."""

    def __init__(self, chains: Mapping[str, LLMClient]) -> None:
        """Join chains.

        Args:
            chains: By catalogue id; one for every model that can be asked.
        """
        self._chains = chains

    def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        return self._chains[context.model].stream(prompt, context)
