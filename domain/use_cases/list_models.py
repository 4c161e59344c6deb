"""List the models of the catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.entities.model import Model
from domain.interfaces.model_catalogue import ModelCatalogue


@dataclass(frozen=True, slots=True)
class ListModels:
    """Returns the models that callers may see."""

    catalogue: ModelCatalogue

    def __call__(self) -> Sequence[Model]:
        """Return all models, the default one first."""
        return self.catalogue.models()

    def one(self, name: str) -> Model:
        """Return the model with this id or alias; raises `UnknownModel`."""
        return self.catalogue.resolve(name)
