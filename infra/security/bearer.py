"""Bearer authentication by API keys, tokens, or both."""

from abc import abstractmethod
from typing import Protocol

from domain.entities.caller import Caller
from domain.exceptions import Unauthenticated
from domain.interfaces.credentials import Authenticator
from infra.security.api_keys.key_format import PREFIX


class Keys(Protocol):
    """Authenticates API keys; see `ApiKeyCache`."""

    @abstractmethod
    def known_caller(self, key: bytes) -> Caller | None: ...
    @abstractmethod
    def authenticate(self, key: bytes) -> Caller: ...


class Tokens(Protocol):
    """Authenticates tokens; see `TokenVerifier`."""

    @abstractmethod
    def known_caller(self, token: bytes) -> Caller | None: ...
    @abstractmethod
    async def authenticate(self, token: bytes) -> Caller: ...


class BearerAuthenticator(Authenticator):
    """Treats credentials with the prefix of API keys as keys, and all others as tokens, if these are configured."""

    def __init__(self, *, keys: Keys | None = None, tokens: Tokens | None = None) -> None:
        self._keys = keys
        self._tokens = tokens

    def known_caller(self, authorization: bytes | None) -> Caller | None:
        credentials = None if authorization is None else _bearer(authorization)
        if not credentials:
            return None
        if self._keys is not None and credentials.startswith(PREFIX):
            return self._keys.known_caller(credentials)
        return None if self._tokens is None else self._tokens.known_caller(credentials)

    async def authenticate(self, authorization: bytes | None) -> Caller:
        if authorization is None:
            raise Unauthenticated(were_given=False)
        if credentials := _bearer(authorization):
            if self._keys is not None and credentials.startswith(PREFIX):
                return self._keys.authenticate(credentials)
            if self._tokens is not None:
                return await self._tokens.authenticate(credentials)
        raise Unauthenticated(were_given=True)


def _bearer(authorization: bytes) -> bytes:
    """Return the credentials of the scheme `Bearer`; empty for another scheme."""
    scheme, _, credentials = authorization.partition(b" ")
    return credentials.strip(b" ") if scheme.lower() == b"bearer" else b""
