"""Forwards observations of background answers to several observers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from domain.entities.background.answer import BackgroundAnswer
from domain.entities.interaction import Interaction
from domain.interfaces.telemetry import BackgroundObserver


class BackgroundObservers(BackgroundObserver):
    """Forwards to each observer, in order."""

    def __init__(self, *observers: BackgroundObserver) -> None:
        self._observers = observers

    @contextmanager
    def making(self, answer: BackgroundAnswer) -> Iterator[None]:
        with ExitStack() as stack:
            for observer in self._observers:
                stack.enter_context(observer.making(answer))
            yield

    def answer_begun(self, answer: BackgroundAnswer) -> None:
        for observer in self._observers:
            observer.answer_begun(answer)

    def answer_taken_over(self, answer: BackgroundAnswer) -> None:
        for observer in self._observers:
            observer.answer_taken_over(answer)

    def answer_restarted(self, answer: BackgroundAnswer, reason: str) -> None:
        for observer in self._observers:
            observer.answer_restarted(answer, reason)

    def records_written(self, *, seconds: float) -> None:
        for observer in self._observers:
            observer.records_written(seconds=seconds)

    def answer_ended(self, answer: BackgroundAnswer, interaction: Interaction) -> None:
        for observer in self._observers:
            observer.answer_ended(answer, interaction)
