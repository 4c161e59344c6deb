"""Where keys are made and taken back."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from domain.entities.api_key import ApiKey
from domain.entities.caller import Scope


class KeyBook(Protocol):
    """The keys of this installation. Blocks: for the command line, while the service may be running."""

    @abstractmethod
    def create(
        self,
        *,
        name: str,
        user_id: str | None,
        scopes: frozenset[Scope],
        expires_milliseconds: int | None,
    ) -> tuple[ApiKey, str]:
        """Make and keep a key; return what is kept, and the key itself, which cannot be had again."""
        ...

    @abstractmethod
    def keys(self) -> Sequence[ApiKey]:
        """Return every key, oldest first, also those that no longer hold."""
        ...

    @abstractmethod
    def revoke(self, key_id: str) -> bool:
        """Let the key hold no longer, and return whether there is one with this id. The second time changes nothing."""
        ...
