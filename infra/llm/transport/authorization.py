"""Port for what authorises requests by headers that change over time, and its use within one call."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Protocol

from yarl import URL

from infra.llm.transport.errors.body import WireError


class Authorization(Protocol):
    """Authorises the requests of one provider, with access tokens or signatures; shared by its models."""

    @abstractmethod
    def prepare(self) -> None:
        """Begin to look for credentials, so that the first call need not wait; a failure is logged. Needs a loop."""
        ...

    @abstractmethod
    async def headers(self, url: URL, content_type: str, body: bytes) -> Mapping[str, str]:
        """Return the headers that authorise a POST request, which must be sent at once.

        Waits only while there are no valid credentials.

        Args:
            url: As it is sent.
            content_type: As it is sent.
            body: As it is sent.

        Raises:
            LLMMisconfigured: The credentials are rejected, or there are none and none can be expected.
            LLMUnavailable: There are no credentials now.
        """
        ...

    @abstractmethod
    def renews(self, status: int, error: WireError, headers: Mapping[str, str]) -> bool:
        """Return whether a refused request may be sent again, since its credentials may have expired or been revoked.

        These credentials are then not used again; others, which may have replaced them since, are.

        Args:
            status: Of the refusal.
            error: The refusal.
            headers: Those of the refused request, as `headers` returned them.
        """
        ...

    @abstractmethod
    async def close(self) -> None:
        """Stop looking for credentials; called last. Does nothing the second time."""
        ...


class AuthorizedCall:
    """Authorises the requests of one call, and renews the credentials at most once.

    Args:
        authorization: Of the provider.
        headers: The other headers of the requests.
    """

    __slots__ = ("_authorization", "_changing", "_fixed", "_may_renew")

    def __init__(self, authorization: Authorization, headers: Mapping[str, str]) -> None:
        self._authorization = authorization
        self._fixed = headers
        self._changing: Mapping[str, str] = {}
        self._may_renew = True

    async def headers(self, url: URL, body: bytes) -> Mapping[str, str]:
        """Return all headers of a request, as `Authorization.headers` does."""
        self._changing = await self._authorization.headers(url, self._fixed["Content-Type"], body)
        return {**self._fixed, **self._changing}

    def renews(self, status: int, error: WireError) -> bool:
        """Return whether the request that was just refused may be sent again, with new headers.

        Args:
            status: Of the refusal.
            error: The refusal.
        """
        if self._may_renew and self._authorization.renews(status, error, self._changing):
            self._may_renew = False
            return True
        return False
