"""What is passed on the way to a provider, and passed again on the way back."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Generic, TypeVar

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent, Reply
from domain.interfaces.llm_client import LLMClient

Call = TypeVar("Call")


class Gate(LLMClient, Generic[Call]):
    """A client around a client that only needs to know how each call begins and ends.

    Gates directly within each other share one generator, since every generator that pieces are handed through costs
    a third of a microsecond a piece. What they do stays as if each had its own: in from the outermost, out from the
    innermost, and those that were not reached hear nothing.
    """

    def __init__(self, inner: LLMClient) -> None:
        self._inner: LLMClient = inner
        self._gates: tuple[Gate[Any], ...] = (self,)
        if isinstance(inner, Gate):
            self._inner = inner._inner
            self._gates = (self, *inner._gates)
        inwards = list(enumerate(self._gates))
        self._listening = _overriding("speak", inwards)
        self._answering = _overriding("answer", reversed(inwards))
        self._leaving = _overriding("leave", reversed(inwards))

    @abstractmethod
    def enter(self, context: ChatRequestContext) -> Call:
        """Let a call in, and return what tells it from others; raise an `LLMError` to refuse it."""
        ...

    def speak(self, call: Call) -> None:
        """Take note of the first text."""

    def answer(self, call: Call, context: ChatRequestContext, reply: Reply) -> None:
        """Take note of a whole answer; `fail` may still follow, when the caller leaves with it."""

    def fail(self, call: Call, context: ChatRequestContext, error: BaseException) -> None:
        """Take note of an `LLMError`, of a caller who left, or of a bug."""

    def leave(self, call: Call) -> None:
        """Let a call out, however it ended."""

    async def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        calls: list[Any] = []
        try:
            for gate in self._gates:
                calls.append(gate.enter(context))
            has_text = False
            events = self._inner.stream(prompt, context)
            try:
                async for event in events:
                    if isinstance(event, str):
                        if not has_text:
                            has_text = True
                            for number, gate in self._listening:
                                gate.speak(calls[number])
                    elif isinstance(event, Reply):
                        # before it is handed on: who has the reply may never ask for another piece
                        for number, gate in self._answering:
                            gate.answer(calls[number], context, event)
                    yield event
            finally:
                await events.aclose()
        except BaseException as error:
            for number in reversed(range(len(calls))):
                self._gates[number].fail(calls[number], context, error)
            raise
        finally:
            for number, gate in self._leaving:
                if number < len(calls):
                    gate.leave(calls[number])


def _overriding(hook: str, gates: Iterable[tuple[int, Gate[Any]]]) -> list[tuple[int, Gate[Any]]]:
    """Return those of `gates`, with their numbers, that have more to do there than nothing."""
    return [one for one in gates if getattr(type(one[1]), hook) is not getattr(Gate, hook)]
