"""The models that can be asked."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from domain.entities.model import Model


class ModelCatalogue(Protocol):
    """A closed list, fixed while the service runs."""

    @abstractmethod
    def models(self) -> Sequence[Model]:
        """Return every model that can be asked, the default one first."""
        ...

    @abstractmethod
    def resolve(self, name: str | None) -> Model:
        """Return the model with this id or alias; the default one for None.

        Raises:
            RetiredModel: Its provider shut it down; names the successor.
            UnknownModel: No such model; names those that exist.
        """
        ...
