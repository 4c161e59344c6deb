"""Port for creating and revoking API keys."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from domain.entities.api_key import ApiKey, NewApiKey
from domain.entities.caller import Scope


class ApiKeyRepository(Protocol):
    """The stored API keys. Methods block; used by the command line, also while the service runs."""

    @abstractmethod
    def create(
        self,
        *,
        name: str,
        user_id: str | None,
        scopes: frozenset[Scope],
        expires_milliseconds: int | None,
    ) -> NewApiKey:
        """Return a new key. It becomes valid once its record is added, or its line is configured."""
        ...

    @abstractmethod
    def add(self, record: ApiKey) -> None:
        """Store a new key, which makes it valid."""
        ...

    @abstractmethod
    def keys(self) -> Sequence[ApiKey]:
        """Return all keys, oldest first, expired and revoked ones included."""
        ...

    @abstractmethod
    def revoke(self, key_id: str) -> bool:
        """Revoke a key and return whether it exists. Idempotent."""
        ...
