"""Port for the catalogue of models."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from domain.entities.model import Model


class ModelCatalogue(Protocol):
    """The configured models, fixed while the service runs."""

    @abstractmethod
    def models(self) -> Sequence[Model]:
        """Return all models, the default one first."""
        ...

    @abstractmethod
    def resolve(self, name: str | None) -> Model:
        """Return the model with this id or alias; the default one for None.

        Raises:
            RetiredModel: The provider withdrew the model; names the successor.
            UnknownModel: There is no such model; lists the known ones.
        """
        ...
