"""Hooks at the start and the end of each call of a provider, and the client that calls them."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Generic, TypeVar

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import WORDS, AnswerEvent, Reply
from domain.interfaces.llm_client import LLMClient

Call = TypeVar("Call")


class CallHooks(ABC, Generic[Call]):
    """Hooks of one concern, such as metering. `Call` is what `on_enter` returns for each call."""

    @abstractmethod
    def on_enter(self, context: ChatRequestContext) -> Call:
        """Admit a call and return its state for the other hooks; raise an `LLMError` to refuse it."""
        ...

    def on_first_text(self, call: Call) -> None:
        """Handle the first text or tool call."""

    def on_reply(self, call: Call, context: ChatRequestContext, reply: Reply) -> None:
        """Handle a complete answer; `on_error` may still follow, when the caller disconnects with it."""

    def on_error(self, call: Call, context: ChatRequestContext, error: BaseException) -> None:
        """Handle an `LLMError`, a caller that disconnected, or a bug."""

    def on_exit(self, call: Call) -> None:
        """Release what the call holds, however it ended."""


class HookedClient(LLMClient):
    """Calls hooks around each call of a client: on the way in from the first to the last, on the way out in reverse.

    Where one refuses a call, those after it are not called. All share one generator, since each generator that events
    pass through costs 0.3 µs an event.
    """

    def __init__(self, inner: LLMClient, hooks: Sequence[CallHooks[Any]]) -> None:
        """Wrap a client.

        Args:
            inner: The client.
            hooks: The outermost first.
        """
        self._inner = inner
        self._on_enter = [each.on_enter for each in hooks]
        self._on_error = [each.on_error for each in hooks]
        inwards = list(enumerate(hooks))
        outwards = inwards[::-1]
        self._on_first_text = [
            (number, each.on_first_text)
            for number, each in inwards
            if _overrides(each, "on_first_text")
        ]
        self._on_reply = [
            (number, each.on_reply) for number, each in outwards if _overrides(each, "on_reply")
        ]
        self._on_exit = [
            (number, each.on_exit) for number, each in outwards if _overrides(each, "on_exit")
        ]

    async def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        calls: list[Any] = []
        try:
            for on_enter in self._on_enter:
                calls.append(on_enter(context))
            has_text = False
            events = self._inner.stream(prompt, context)
            try:
                async for event in events:
                    if isinstance(event, WORDS):
                        if not has_text:
                            has_text = True
                            for number, on_first_text in self._on_first_text:
                                on_first_text(calls[number])
                    elif isinstance(event, Reply):
                        # before it is yielded: a caller that has the reply may ask for no further event
                        for number, on_reply in self._on_reply:
                            on_reply(calls[number], context, event)
                    yield event
            finally:
                await events.aclose()
        except BaseException as error:
            for number in reversed(range(len(calls))):
                self._on_error[number](calls[number], context, error)
            raise
        finally:
            entered = len(calls)
            for number, on_exit in self._on_exit:
                if number < entered:
                    on_exit(calls[number])


def _overrides(hooks: CallHooks[Any], name: str) -> bool:
    """Return whether the class of `hooks` implements the hook `name`."""
    return getattr(type(hooks), name) is not getattr(CallHooks, name)
