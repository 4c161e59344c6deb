"""API keys: credentials with which a program calls this service."""

from dataclasses import dataclass

from domain.entities.caller import USER_SCOPES, Caller, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """The stored record of an API key. The key itself is not stored; it is shown once, on creation.

    Attributes:
        id: Public name of the key in lists, logs and limits.
        digest: SHA-256 of the whole key.
        name: Label chosen by its owner.
        user_id: The only user it may act for; None for a backend key, which may act for any user.
        created_milliseconds: Milliseconds since 1970 UTC, as the two below.
        expires_milliseconds: End of its validity; None if it does not expire.
        revoked_milliseconds: Time of revocation; None if it was not revoked.
    """

    id: str
    digest: bytes
    name: str = ""
    user_id: str | None = None
    scopes: frozenset[Scope] = USER_SCOPES
    created_milliseconds: int = 0
    expires_milliseconds: int | None = None
    revoked_milliseconds: int | None = None

    def to_caller(self) -> Caller:
        """Return the caller that this key authenticates."""
        principal = f"key:{self.id}"
        return Caller(
            principal=principal,
            user_id=self.user_id,
            scopes=self.scopes,
            rate_limit_key=principal,
            credential=self.id,
        )


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A newly created API key.

    Attributes:
        record: The record to store.
        key: The key itself; it cannot be recovered later.
        line: The record as a line for API_KEYS or API_KEYS_FILE, for deployments without a writable disk.
    """

    record: ApiKey
    key: str
    line: str
