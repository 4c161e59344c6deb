"""Models of the catalogue."""

from dataclasses import dataclass
from datetime import date

from domain.entities.tools import Capability

# On Python 3.11 a lookup in the class takes forty times as long, and this one is made for every chat.
_EMBEDDINGS = Capability.EMBEDDINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of the catalogue, with the properties that callers may see.

    Attributes:
        owned_by: Name of its provider in the catalogue.
        context_tokens: Context window: limit of prompt and answer together; None if unknown.
        max_output_tokens: Limit of an answer; None if unknown.
        capabilities: What the model supports beyond text.
        shutdown_date: Date announced by the provider; None if there is none.
    """

    id: str
    owned_by: str
    aliases: tuple[str, ...] = ()
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[Capability] = frozenset()
    shutdown_date: date | None = None

    @property
    def computes_embeddings(self) -> bool:
        """Whether it computes embeddings; such a model cannot chat."""
        return _EMBEDDINGS in self.capabilities
