"""Ids of responses and conversations.

An id begins with the id of the interaction or conversation and contains its user sealed, so that
a caller that acts for many users needs to name none.
"""

import re
from dataclasses import dataclass

from domain.entities.caller import Caller, Scope, is_user_id
from domain.entities.conversation import begins_with_record
from domain.entities.interaction import is_interaction_id
from domain.exceptions import Forbidden, NotFound
from domain.interfaces.sealer import Sealer

RESPONSE = "resp"
CONVERSATION = "conv"

_RESPONSE = re.compile(r"resp_([0-9a-f]{32})([A-Za-z0-9_-]+)")
_SEPARATOR = "."
_CONVERSATION_PREFIX = "conv_"


@dataclass(frozen=True, slots=True)
class ResponseIds:
    """Makes and reads ids.

    Attributes:
        sealer: Of this installation.
    """

    sealer: Sealer

    def of_response(self, interaction_id: str, user_id: str) -> str:
        """Return the id of a response; the same one every time."""
        digits = interaction_id.replace("-", "")
        return f"resp_{digits}{self.sealer.seal(user_id.encode(), RESPONSE, digits)}"

    def read_response(self, response_id: str) -> tuple[str, str] | None:
        """Return the interaction's id and its user; None if the id was not made here, or was altered."""
        match = _RESPONSE.fullmatch(response_id)
        if match is None:
            return None
        user_id = self._user(match[2], RESPONSE, match[1])
        interaction_id = with_dashes(match[1])
        if user_id is None or not is_interaction_id(interaction_id):
            return None
        return interaction_id, user_id

    def of_conversation(self, conversation_id: str, user_id: str) -> str:
        """Return the id of a conversation; the same one every time.

        Args:
            conversation_id: As in history; that of a conversation created here begins with `conv_` already.
            user_id: Its user.
        """
        sealed = self.sealer.seal(user_id.encode(), CONVERSATION, conversation_id)
        prefix = "" if begins_with_record(conversation_id) else _CONVERSATION_PREFIX
        return f"{prefix}{conversation_id}{_SEPARATOR}{sealed}"

    def read_conversation(self, conversation: str) -> tuple[str, str] | None:
        """Return the conversation's own id and its user; None if the id was not made here, or was altered."""
        head, _, sealed = conversation.rpartition(_SEPARATOR)
        if not head.startswith(_CONVERSATION_PREFIX):
            return None
        if not begins_with_record(head):
            head = head.removeprefix(_CONVERSATION_PREFIX)
        if not is_user_id(head):
            return None
        user_id = self._user(sealed, CONVERSATION, head)
        return None if user_id is None else (head, user_id)

    def resolve_conversation(self, conversation: str) -> tuple[str, str | None] | None:
        """Return the conversation's own id and its user, None for an own id, which names none; None for an invalid id."""
        sealed = self.read_conversation(conversation)
        if sealed is not None:
            return sealed
        is_own = begins_with_record(conversation) or (
            is_user_id(conversation) and not conversation.startswith(_CONVERSATION_PREFIX)
        )
        return (conversation, None) if is_own else None

    def _user(self, sealed: str, *bound_to: str) -> str | None:
        opened = self.sealer.open(sealed, *bound_to)
        return None if opened is None else opened.decode()


def require_owner(caller: Caller, scope: Scope, user_id: str) -> None:
    """Check that the caller may use what an id names.

    Args:
        caller: Of the request.
        scope: Needed permission.
        user_id: User of the id.

    Raises:
        Forbidden: The scope is missing.
        NotFound: It belongs to a user the caller may not act for; the answer is the same as for an unknown id.
    """
    try:
        caller.require(scope, user_id)
    except Forbidden as exc:
        if exc.cause == Forbidden.USER:
            raise NotFound from exc
        raise


def with_dashes(digits: str) -> str:
    """Return a UUID in its usual form."""
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
