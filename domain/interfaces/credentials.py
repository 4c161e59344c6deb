"""Who is calling, told from what they show."""

from abc import abstractmethod
from typing import Protocol

from domain.entities.caller import Caller


class Authenticator(Protocol):
    """Turns credentials into a caller; asked before anything else of a request is looked at.

    Answers from memory: neither a store nor an issuer of tokens that is away keeps a known caller out.
    """

    @abstractmethod
    def known_caller(self, authorization: bytes | None) -> Caller | None:
        """Return who shows `authorization` where that is known without checking a signature; else None.

        Never raises: `caller_of` says what is wrong.
        """
        ...

    @abstractmethod
    async def caller_of(self, authorization: bytes | None) -> Caller:
        """Return who shows `authorization`, the value of the one header of that name; None when there is none.

        Raises:
            Unauthenticated: Nothing that holds was shown.
            AuthUnavailable: What was shown cannot be checked right now; never raised for what is known to hold.
        """
        ...
