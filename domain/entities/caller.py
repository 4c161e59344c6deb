"""Who is calling, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum

from domain.exceptions import Forbidden

USER_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@|+-]{0,127}$"
"""What names a user, wherever the name comes from: a body, a path, a key or a token."""


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
        limited_as: Whose limits it uses up; None is unlimited.
    """

    principal: str
    user_id: str | None = None
    scopes: frozenset[Scope]
    limited_as: str | None = None

    def may(self, scope: Scope, user_id: str) -> None:
        """Return when allowed.

        Raises:
            Forbidden: The scope is missing, or `user_id` is somebody else.
        """
        if scope not in self.scopes:
            raise Forbidden(Forbidden.SCOPE)
        if self.user_id is not None and self.user_id != user_id:
            raise Forbidden(Forbidden.USER)


ANONYMOUS = Caller(principal="anonymous", scopes=frozenset(Scope))
