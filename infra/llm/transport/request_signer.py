"""The interface of what signs requests whose provider takes signatures instead of a key."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Protocol

from yarl import URL

from infra.llm.transport.errors.body import WireError


class RequestSigner(Protocol):
    """Signs the requests of one provider; shared by its models."""

    @abstractmethod
    def prepare(self) -> None:
        """Begin to look for credentials, so that the first call need not wait; a failure is logged. Needs a loop."""
        ...

    @abstractmethod
    async def signature(self, url: URL, content_type: str, body: bytes) -> Mapping[str, str]:
        """Return the headers that sign a POST request, which must be sent within five minutes.

        Args:
            url: As it is sent, without a query.
            content_type: As it is sent.
            body: As it is sent.

        Raises:
            LLMMisconfigured: The credentials are rejected.
            LLMUnavailable: There are no credentials now.
        """
        ...

    @abstractmethod
    def renews(self, error: WireError, signature: Mapping[str, str]) -> bool:
        """Return whether a refused request may be sent again with a new signature.

        Credentials that have expired are then not used again.

        Args:
            error: The refusal.
            signature: The headers that the refused request was signed with.
        """
        ...

    @abstractmethod
    async def close(self) -> None:
        """Stop renewing credentials; nothing is signed afterwards. Does nothing the second time."""
        ...
