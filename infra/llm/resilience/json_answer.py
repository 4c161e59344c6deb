"""Validates answers in JSON before they count as complete."""

from collections.abc import AsyncGenerator

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt, Role
from domain.entities.reply import AnswerEvent, FinishReason, ProviderSelected, Reply
from domain.entities.tools import ResponseFormat
from domain.exceptions import AnswerDoesNotFit
from domain.interfaces.llm_client import LLMClient
from infra.llm.resilience.json_schema import fits

_HTTP_OK = 200


class JsonAnswer(LLMClient):
    """Fails a call whose answer is not the requested JSON, like any unreadable answer.

    Text is passed on as it comes. Answers that were cut, blocked or end with tool calls are not checked: their text is
    not the whole answer.
    """

    def __init__(self, inner: LLMClient, *, provider: str) -> None:
        """Wrap the client of one model.

        Args:
            inner: The client.
            provider: The provider's name in the catalogue.
        """
        self._inner = inner
        self._provider = provider

    def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        if prompt.response_format is None:
            return self._inner.stream(prompt, context)
        return self._checked(prompt, prompt.response_format, context)

    async def _checked(
        self, prompt: Prompt, wanted: ResponseFormat, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        last = prompt.messages[-1]
        texts = [last.text] if last.role is Role.ASSISTANT else []
        sent = len(texts)
        events = self._inner.stream(prompt, context)
        try:
            async for event in events:
                if isinstance(event, str):
                    texts.append(event)
                elif isinstance(event, ProviderSelected) and not event.continues:
                    del texts[sent:]
                elif (
                    isinstance(event, Reply)
                    and event.finish_reason is FinishReason.STOP
                    and not fits("".join(texts), wanted)
                ):
                    raise AnswerDoesNotFit(
                        f"{self._provider} did not send the requested JSON",
                        http_status=_HTTP_OK,
                    )
                yield event
        finally:
            await events.aclose()
