"""The way to a language model."""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from typing import Protocol

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent


class LLMClient(Protocol):
    """Turns a prompt into a reply, piece by piece.

    Safe to share between tasks. Never leaks a driver's exception: whatever goes wrong there is an `LLMError`.
    """

    @abstractmethod
    def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Yield who is answering, text deltas that are not empty, then exactly one final `Reply`.

        Any number of `AnswerProgress` may stand between the first and the last. A wrapper hands on what it does not know.
        A second `ProviderSelected` says that somebody else took over; its `continues` tells whether what came before stays.
        Closing the generator early hangs up on the provider within a second.

        Args:
            prompt: What to ask.
            context: The deadlines all attempts share, and the log they are written to.

        Raises:
            LLMTimeout: Silence, or no full answer in time.
            LLMUnavailable: Network failure, the provider's own fault, or an unreadable answer.
            LLMRateLimited: Slow down; `retry_after_seconds` says how long, if known.
            LLMMisconfigured: Our credentials or our model name are not accepted.
            LLMRejected: The provider refuses this request.
            ContextTooLong: More than the model's window.
            ContentBlocked: A safety filter, before any text. After text it is a `Reply` with `CONTENT_FILTER`.
            NoRoute: Nobody may be asked now.
            Overloaded: Every provider that could answer has as many calls as we allow. The one error that is no
                `LLMError`: it is our own doing.
        """
        ...
