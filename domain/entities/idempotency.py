"""Idempotency keys, fingerprints of requests, and the records stored under the keys."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """Identifies a request. Equal `key` values of different callers, users or routes are different keys.

    Attributes:
        principal: `Caller.principal`.
        user_id: User for whom the request is made.
        route: Route of the request.
        key: Value of the Idempotency-Key header.
    """

    principal: str
    user_id: str
    route: str
    key: str

    @property
    def digest(self) -> str:
        """SHA-256 of all four fields as 64 hex digits; stores hold it instead of the fields."""
        digest = hashlib.sha256()
        for part in (self.principal, self.user_id, self.route, self.key):
            content = part.encode()
            # Length-prefixed, so that no two different tuples give the same bytes.
            digest.update(b"%d:%s" % (len(content), content))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Compares the content of two requests.

    Attributes:
        current: Fingerprint stored with new records: a version, a colon, and a hash of the request.
        first: Returns the unversioned fingerprint of earlier releases; None if those releases could not have accepted
            this request. Called only for a record with such a fingerprint.
    """

    current: str
    first: Callable[[], str | None] = lambda: None

    def matches(self, stored: str) -> bool:
        """Return whether the fingerprint `stored`, of any version, belongs to the same request."""
        return stored == (self.current if ":" in stored else self.first())


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyRecord:
    """The first request with a key. It is complete once its interaction is in history; the record does not note that.

    Attributes:
        fingerprint: `Fingerprint.current` of the request, as of the release that created the record.
        interaction_id: Id of the interaction that the request becomes.
        lease_until_milliseconds: Time since 1970 UTC; without an interaction by then, the request counts as lost.
        expires_milliseconds: Time since 1970 UTC from which the key may be used for another request.
    """

    fingerprint: str
    interaction_id: str
    lease_until_milliseconds: int
    expires_milliseconds: int
