"""What is asked of a model."""

from dataclasses import dataclass, replace
from enum import StrEnum


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
    """

    messages: tuple[Message, ...]
    system: str = ""
    model: str | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        for message in self.messages:
            if message.role is Role.USER:
                return
        raise ValueError("a prompt needs a message of the user")

    @classmethod
    def asking(
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
        """The question itself: the user's last message."""
        return next(m.text for m in reversed(self.messages) if m.role is Role.USER)

    def as_kept(self) -> "Prompt":
        """Return what history keeps of it: the question and its settings, without the context sent along."""
        if len(self.messages) == 1:
            return self
        return replace(self, messages=(Message(role=Role.USER, text=self.text),))
