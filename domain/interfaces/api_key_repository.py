"""Where keys are made and taken back."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from domain.entities.api_key import ApiKey, NewApiKey
from domain.entities.caller import Scope


class ApiKeyRepository(Protocol):
    """The keys of this installation. Blocks: for the command line, while the service may be running."""

    @abstractmethod
    def make(
        self,
        *,
        name: str,
        user_id: str | None,
        scopes: frozenset[Scope],
        expires_milliseconds: int | None,
    ) -> NewApiKey:
        """Return a new key; it holds where its record is kept, or its line is given to a service."""
        ...

    @abstractmethod
    def keep(self, record: ApiKey) -> None:
        """Keep a new key, so that it holds."""
        ...

    @abstractmethod
    def keys(self) -> Sequence[ApiKey]:
        """Return every key, oldest first, also those that no longer hold."""
        ...

    @abstractmethod
    def revoke(self, key_id: str) -> bool:
        """Let the key hold no longer, and return whether there is one with this id. The second time changes nothing."""
        ...
