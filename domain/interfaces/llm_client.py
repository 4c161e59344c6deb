"""Port for calling a language model."""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from typing import Protocol

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent


class LLMClient(Protocol):
    """Streams the answer to a prompt.

    May be shared between tasks. Exceptions of drivers are translated to `LLMError`.
    """

    @abstractmethod
    def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Yield a `ProviderSelected`, text, reasoning and tool calls as they come, then exactly one `Reply`.

        A tool call is complete. Any number of `AnswerProgress` may occur in between. Wrappers pass on events they do
        not know.
        Another `ProviderSelected` marks a fallback; its `continues` says whether the text so far remains.
        Closing the generator early closes the connection to the provider within a second.

        Args:
            prompt: The question with its context.
            context: Deadlines shared by all attempts, and the list the attempts are added to.

        Raises:
            LLMTimeout: No text, or no complete answer, in time.
            LLMUnavailable: Network failure, server error, or an unreadable answer.
            LLMRateLimited: The provider limits our rate; `retry_after_seconds` is the requested pause, if known.
            LLMMisconfigured: The provider rejects our credentials or model name.
            LLMRejected: The provider rejects this request.
            ContextTooLong: The prompt exceeds the model's context window.
            ContentBlocked: A safety filter refused before any text. After text it is a `Reply` with `CONTENT_FILTER`.
            NoRoute: Every route is closed.
            CannotContinue: No model continues `context.text_so_far`. Not an `LLMError`, since none was called.
            Overloaded: Every provider that could answer is at its limit of concurrent calls. Not an `LLMError`, since
                the limit is ours.
        """
        ...
