"""Callers of the application over fakes, known by their names."""

from app.middleware.access_gate import GateRules
from domain.entities.caller import Caller, Scope
from domain.exceptions import Unauthenticated
from domain.interfaces.credentials import Authenticator


class CallersByName(Authenticator):
    """Accepts `Bearer <name>` of given callers."""

    def __init__(self, **callers: Caller) -> None:
        self._callers = callers

    def known_caller(self, authorization: bytes | None) -> Caller | None:
        name = (authorization or b"").decode().removeprefix("Bearer ")
        return self._callers.get(name)

    async def authenticate(self, authorization: bytes | None) -> Caller:
        caller = self.known_caller(authorization)
        if caller is None:
            raise Unauthenticated(were_given=True)
        return caller


def a_caller(name: str, user_id: str | None, *scopes: Scope) -> Caller:
    return Caller(
        principal=name, user_id=user_id, scopes=frozenset(scopes or Scope), rate_limit_key=name
    )


CALLERS = CallersByName(
    backend=a_caller("backend", None),
    ana=a_caller("ana", "ana"),
    bob=a_caller("bob", "bob"),
    reader=a_caller("reader", "ana", Scope.HISTORY_READ),
    writer=a_caller("writer", "ana", Scope.CHAT_WRITE),
)
WITH_CREDENTIALS = GateRules.with_authentication(allowed_hosts=(), trusted_proxies=())


def of(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"}
