"""Prompts and the messages they consist of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

BETWEEN_QUESTIONS = "\n\n"
"""Separates questions that are sent as one message."""


class Role(StrEnum):
    """Author of a message."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation, as sent to the model."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A question with its context and sampling settings; None leaves a setting to the provider's default.

    Attributes:
        messages: Oldest first; at least one of the user.
        system: System instructions; empty for none.
        model: Requested catalogue id or alias; None for the default model.
        temperature: 0.0 to 2.0.
        max_output_tokens: Upper bound of output tokens, reasoning included.
        stop: Stop sequences.
        question: The current question if the last user message also contains earlier ones; else None.
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
        """Return a prompt with one user message."""
        return cls(
            messages=(Message(role=Role.USER, text=text),),
            system=system,
            model=model,
            temperature=temperature,
            max_output_tokens=max_output_tokens,
        )

    @property
    def text(self) -> str:
        """The question: `question` if set, else the last user message."""
        if self.question is not None:
            return self.question
        return next(m.text for m in reversed(self.messages) if m.role is Role.USER)

    def for_storage(self) -> "Prompt":
        """Return the prompt as stored in history: the question and its settings, without earlier messages."""
        if len(self.messages) == 1 and self.question is None:
            return self
        return replace(self, messages=(Message(role=Role.USER, text=self.text),), question=None)

    def with_history(self, earlier: Sequence[Message]) -> "Prompt":
        """Return this prompt with `earlier` messages before its own.

        Consecutive user messages are joined into one, since some models reject two messages of the same role in a
        row. `question` then holds the current question alone.
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
