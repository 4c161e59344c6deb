"""Authenticated callers, their permissions, and the form of user ids."""

import base64
import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from domain.exceptions import Forbidden

USER_ID_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9._:@|+=~-]{0,127}$"
"""The form of user ids and conversation ids from every source: body, path, API key, token, queue."""

_USER_ID = re.compile(USER_ID_PATTERN, re.ASCII)
_DERIVED_USER_ID = re.compile(r"sub-[A-Za-z0-9_-]{43}", re.ASCII)


def is_user_id(text: str) -> bool:
    """Return whether `text` has the form of a user id."""
    return _USER_ID.fullmatch(text) is not None


def is_derived_user_id(text: str) -> bool:
    """Return whether `text` has the form of `derived_user_id`."""
    return _DERIVED_USER_ID.fullmatch(text) is not None


def to_user_id(name: str) -> str:
    """Return the user id for a name from another system: `name` itself if it is a valid user id, else a derived id.

    The same name always gives the same id.
    """
    return name if is_user_id(name) else derived_user_id(name)


def derived_user_id(name: str) -> str:
    """Return `sub-` and the base64url of the SHA-256 of `name` in UTF-8, without padding."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return "sub-" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


class Scope(StrEnum):
    """A permission."""

    CHAT_WRITE = "chat:write"
    HISTORY_READ = "history:read"
    HISTORY_ERASE = "history:erase"
    HISTORY_EXPORT = "history:export"
    ADMIN_READ = "admin:read"


USER_SCOPES = frozenset(Scope) - {Scope.ADMIN_READ}
"""The permissions that concern single users: those of credentials that name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated principal.

    Attributes:
        principal: Identifies the caller in idempotency records; not shown to other callers.
        user_id: The only user it may act for; None for any user.
        scopes: Granted permissions.
        rate_limit_key: Name under which its requests and tokens are counted; None if it is unlimited.
        credential: `Interaction.credential` of its requests; None if it is not known.
    """

    principal: str
    user_id: str | None = None
    scopes: frozenset[Scope]
    rate_limit_key: str | None = None
    credential: str | None = None

    def require_over_all_users(self, scope: Scope) -> None:
        """Check that the caller has `scope`, which applies to all users, also if the caller is bound to one.

        Raises:
            Forbidden: The scope is missing.
        """
        if scope not in self.scopes:
            raise Forbidden(Forbidden.SCOPE)

    def require(self, scope: Scope, user_id: str) -> None:
        """Check that the caller has `scope` and may act for `user_id`.

        Raises:
            Forbidden: The scope is missing, or `user_id` is another user.
        """
        if scope not in self.scopes:
            raise Forbidden(Forbidden.SCOPE)
        if self.user_id is not None and self.user_id != user_id:
            raise Forbidden(Forbidden.USER)


ANONYMOUS = Caller(principal="anonymous", scopes=frozenset(Scope), credential="anonymous")
