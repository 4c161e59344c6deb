"""A request that is to be carried out once, however often it is sent."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OnceKey:
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
class Claim:
    """Who carries the request out. Whether it is done is not noted here: then its interaction is in history.

    Attributes:
        fingerprint: SHA-256 of what was asked, as hex digits.
        interaction_id: What it becomes.
        lease_until_milliseconds: Whoever holds it is dead if there is no interaction by then.
        expires_milliseconds: From then on the key is free for another request.
    """

    fingerprint: str
    interaction_id: str
    lease_until_milliseconds: int
    expires_milliseconds: int
