"""Decides who may see what can be asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.entities.caller import Caller, Scope
from domain.entities.model import Model
from domain.exceptions import Forbidden
from domain.use_cases.list_models import ListModels


@dataclass(frozen=True, slots=True)
class ModelService:
    """Shows the catalogue to those who may ask its models or read what they answered."""

    list_models: ListModels

    def all(self, caller: Caller) -> Sequence[Model]:
        """Return every model, the default one first; raises `Forbidden`."""
        self._permit(caller)
        return self.list_models()

    def one(self, caller: Caller, name: str) -> Model:
        """Return the model with this id or alias; raises `Forbidden` or `UnknownModel`."""
        self._permit(caller)
        return self.list_models.one(name)

    @staticmethod
    def _permit(caller: Caller) -> None:
        if not caller.scopes & {Scope.CHAT_WRITE, Scope.HISTORY_READ}:
            raise Forbidden(Forbidden.SCOPE)
