"""A key that lets a program call this service."""

from dataclasses import dataclass

from domain.entities.caller import Caller, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is known of a key; never the key itself, which is shown once, when it is made.

    Attributes:
        id: Names the key in lists, logs and limits; no secret.
        digest: SHA-256 of the whole key.
        name: What its owner calls it.
        user_id: The only user it acts for; None makes it a backend's, which acts for any.
        created_milliseconds: Since 1970 UTC.
        expires_milliseconds: From then on it does not hold; None means never.
        revoked_milliseconds: Since then it does not hold; None means it was not revoked.
    """

    id: str
    digest: bytes
    name: str = ""
    user_id: str | None = None
    scopes: frozenset[Scope] = frozenset(Scope)
    created_milliseconds: int = 0
    expires_milliseconds: int | None = None
    revoked_milliseconds: int | None = None

    def to_caller(self) -> Caller:
        """Return who shows this key."""
        principal = f"key:{self.id}"
        return Caller(
            principal=principal, user_id=self.user_id, scopes=self.scopes, rate_limit_key=principal
        )


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key just made.

    Attributes:
        record: What is kept of it.
        key: The key itself; it cannot be had again.
        line: The record as text, for deployments that cannot write.
    """

    record: ApiKey
    key: str
    line: str
