"""Port for authentication."""

from abc import abstractmethod
from typing import Protocol

from domain.entities.caller import Caller


class Authenticator(Protocol):
    """Turns credentials into a caller, before anything else of a request is read.

    Uses data in memory: known callers are authenticated while a store or the token issuer is unavailable.
    """

    @abstractmethod
    def known_caller(self, authorization: bytes | None) -> Caller | None:
        """Return the caller if it is known without a signature check; else None. Does not raise."""
        ...

    @abstractmethod
    async def authenticate(self, authorization: bytes | None) -> Caller:
        """Return the caller.

        Args:
            authorization: Value of the Authorization header; None if there is none.

        Raises:
            Unauthenticated: There are no valid credentials.
            AuthUnavailable: The credentials cannot be checked at the moment; not raised for known valid ones.
        """
        ...
