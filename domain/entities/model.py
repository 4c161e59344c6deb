"""A model that can be asked."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a caller may know of a catalogue model.

    Attributes:
        owned_by: The name of its provider in the catalogue.
        context_tokens: What prompt and answer may take together; None where that is not known.
        max_output_tokens: What an answer may take; None where that is not known.
        shutdown_date: Announced by the provider; None when it announced none.
    """

    id: str
    owned_by: str
    aliases: tuple[str, ...] = ()
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    shutdown_date: date | None = None
