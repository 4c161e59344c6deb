"""Port for headers that authorise calls and change over time."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Protocol


class Authorization(Protocol):
    """Supplies the headers of a provider whose access tokens expire."""

    @abstractmethod
    async def headers(self) -> Mapping[str, str]:
        """Return the headers of a call made now; at once while a token is valid.

        Raises:
            LLMMisconfigured: There are no credentials, or the token server rejects them.
            LLMUnavailable: The token server cannot be reached.
        """
        ...

    @abstractmethod
    def discard(self, headers: Mapping[str, str]) -> None:
        """Forget a token that the provider rejects, so that the next call fetches a new one; idempotent.

        Args:
            headers: As returned by `headers`; those of an older token change nothing.
        """
        ...
