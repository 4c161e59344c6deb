"""Who is calling, and what they may do."""

import base64
import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from domain.exceptions import Forbidden

USER_ID_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9._:@|+=~-]{0,127}$"
"""The form of a user id and of a conversation id, wherever it comes from: a body, a path, a key, a token, a queue."""

_USER_ID = re.compile(USER_ID_PATTERN, re.ASCII)
_DERIVED_USER_ID = re.compile(r"sub-[A-Za-z0-9_-]{43}", re.ASCII)


def is_user_id(text: str) -> bool:
    """Return whether `text` has the form of a user id."""
    return _USER_ID.fullmatch(text) is not None


def is_derived_user_id(text: str) -> bool:
    """Return whether `text` has the form that `to_user_id` gives to a name it has to replace."""
    return _DERIVED_USER_ID.fullmatch(text) is not None


def to_user_id(name: str) -> str:
    """Return the user id for a name that another system gave: `name` itself where it has the form of one.

    Any other name becomes `sub-` and the base64url of its SHA-256, without padding. The same name gives the same id.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated principal.

    Attributes:
        principal: Names the caller in idempotency records; never shown to others.
        user_id: The only user it may act for; None acts for any user.
        scopes: What it may do.
        rate_limit_key: Whose limits it uses up; None is unlimited.
    """

    principal: str
    user_id: str | None = None
    scopes: frozenset[Scope]
    rate_limit_key: str | None = None

    def require(self, scope: Scope, user_id: str) -> None:
        """Return when allowed.

        Raises:
            Forbidden: The scope is missing, or `user_id` is somebody else.
        """
        if scope not in self.scopes:
            raise Forbidden(Forbidden.SCOPE)
        if self.user_id is not None and self.user_id != user_id:
            raise Forbidden(Forbidden.USER)


ANONYMOUS = Caller(principal="anonymous", scopes=frozenset(Scope))
