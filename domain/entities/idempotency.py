"""A request that is to be carried out once, however often it is sent."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """Names the request; the same `key` of another caller, for another user or on another route is another.

    Attributes:
        principal: Who calls.
        user_id: For whom.
        route: Where.
        key: What the caller calls it.
    """

    principal: str
    user_id: str
    route: str
    key: str

    @property
    def digest(self) -> str:
        """SHA-256 of all four, as 64 hex digits: what stores keep instead of them."""
        whole = hashlib.sha256()
        for part in (self.principal, self.user_id, self.route, self.key):
            content = part.encode()
            whole.update(b"%d:%s" % (len(content), content))  # no two different fours read alike
        return whole.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Tells whether two requests ask the same.

    Attributes:
        current: The form that is kept with a new claim: its version, a colon, and a hash of what was asked.
        first: Returns the form without a version that claims of earlier releases hold; None where such a claim
            cannot have asked the same. Only called for such a claim.
    """

    current: str
    first: Callable[[], str | None] = lambda: None

    def matches(self, kept: str) -> bool:
        """Return whether `kept`, of any version, is of the same request."""
        return kept == (self.current if ":" in kept else self.first())


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyRecord:
    """Who carries the request out. Whether it is done is not noted here: then its interaction is in history.

    Attributes:
        fingerprint: The `current` form of what was asked, of the release that made the claim.
        interaction_id: What it becomes.
        lease_until_milliseconds: Whoever holds it is dead if there is no interaction by then.
        expires_milliseconds: From then on the key is free for another request.
    """

    fingerprint: str
    interaction_id: str
    lease_until_milliseconds: int
    expires_milliseconds: int
