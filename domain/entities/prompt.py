"""What is asked of a model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

BETWEEN_QUESTIONS = "\n\n"
"""Stands between questions that are sent as one message."""


class Role(StrEnum):
    """Who said a message of a conversation."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation, as the model sees it."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A question with its context and the sampling the caller chose; None means the provider's default.

    Attributes:
        messages: Oldest first; at least one is the user's.
        system: Instructions that stand before the messages; empty means none are sent.
        model: The catalogue id or alias asked for; None asks the default model.
        temperature: 0.0 to 2.0.
        max_output_tokens: Upper bound of what is billed as output.
        stop: Texts at which the model stops.
        question: What was asked, where the user's last message holds more than that; else None.
    """

    messages: tuple[Message, ...]
    system: str = ""
    model: str | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    question: str | None = None

    def __post_init__(self) -> None:
        for message in self.messages:
            if message.role is Role.USER:
                return
        raise ValueError("a prompt needs a message of the user")

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        system: str = "",
        model: str | None = None,
        temperature: float | None = None,
        max_output_tokens: int | None = None,
    ) -> "Prompt":
        """Return the prompt of one question."""
        return cls(
            messages=(Message(role=Role.USER, text=text),),
            system=system,
            model=model,
            temperature=temperature,
            max_output_tokens=max_output_tokens,
        )

    @property
    def text(self) -> str:
        """The question itself: the user's last message, unless earlier questions were joined to it."""
        if self.question is not None:
            return self.question
        return next(m.text for m in reversed(self.messages) if m.role is Role.USER)

    def for_storage(self) -> "Prompt":
        """Return what history keeps of it: the question and its settings, without the context sent along."""
        if len(self.messages) == 1 and self.question is None:
            return self
        return replace(self, messages=(Message(role=Role.USER, text=self.text),), question=None)

    def with_history(self, earlier: Sequence[Message]) -> "Prompt":
        """Return this prompt with earlier messages before its own.

        A question that was never answered is joined to the user's next message, since some models take two messages
        of one role in a row for an error. History keeps the question alone.
        """
        messages: list[Message] = []
        for message in (*earlier, *self.messages):
            before = messages[-1] if messages else None
            if before is not None and before.role is message.role is Role.USER:
                text = f"{before.text}{BETWEEN_QUESTIONS}{message.text}"
                messages[-1] = replace(message, text=text)
            else:
                messages.append(message)
        sent = replace(self, messages=tuple(messages))
        return sent if sent.text == self.text else replace(sent, question=self.text)
