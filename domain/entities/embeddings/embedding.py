"""Requests for embeddings, and their vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.entities.reply import NO_USAGE, Usage

EmbeddingInput = str | tuple[int, ...]
"""A text, or the numbers of its tokens in the tokenizer of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest:
    """Inputs whose vectors are requested; neither they nor the vectors are stored.

    Attributes:
        inputs: At least one; none is empty.
        model: Requested catalogue id or alias.
        dimensions: Length of the vectors; None: the model's own.
        takes_single_precision: The caller gets numbers of 32 bits, so the provider may send no more.
    """

    inputs: tuple[EmbeddingInput, ...]
    model: str
    dimensions: int | None = None
    takes_single_precision: bool = False

    @property
    def has_tokens(self) -> bool:
        """Whether an input is a list of tokens."""
        return any(not isinstance(each, str) for each in self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """The vectors of a request.

    Attributes:
        vectors: One for each input, in the order of the inputs; all of the same length, with finite numbers.
        model: Catalogue id of the model that computed them.
        usage: Input tokens and price, without output tokens.
    """

    vectors: tuple[Sequence[float], ...]
    model: str
    usage: Usage = NO_USAGE
