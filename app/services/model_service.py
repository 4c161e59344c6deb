"""Reads the model catalogue on behalf of a caller."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.entities.caller import Caller, Scope
from domain.entities.model import Model
from domain.exceptions import Forbidden
from domain.use_cases.list_models import ListModels


@dataclass(frozen=True, slots=True)
class ModelService:
    """Returns models to callers with the permission to chat or to read history."""

    list_models: ListModels

    def all(self, caller: Caller) -> Sequence[Model]:
        """Return all models, the default one first; raises `Forbidden`."""
        self._require_permission(caller)
        return self.list_models()

    def resolve(self, caller: Caller, name: str) -> Model:
        """Return the model with this id or alias; raises `Forbidden` or `UnknownModel`."""
        self._require_permission(caller)
        return self.list_models.one(name)

    @staticmethod
    def _require_permission(caller: Caller) -> None:
        if not caller.scopes & {Scope.CHAT_WRITE, Scope.HISTORY_READ}:
            raise Forbidden(Forbidden.SCOPE)
