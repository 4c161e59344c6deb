"""The X-Conversation-Id header."""

from typing import Annotated

from fastapi import Header, Request
from fastapi.exceptions import RequestValidationError

from domain.entities.caller import USER_ID_PATTERN

CONVERSATION_ID = "X-Conversation-Id"

ConversationHeader = Annotated[
    str | None,
    Header(
        alias=CONVERSATION_ID,
        pattern=USER_ID_PATTERN,
        description="Conversation of the user that the interaction is added to, as with `metadata.conversation_id`.",
        examples=["c-1"],
    ),
]


def check_conversation(header: str, field: str | None, request: Request) -> None:
    """Check that the header is sent once, and that the field of the body, if there is one, names the same conversation.

    Raises:
        RequestValidationError: There are several headers, or they differ.
    """
    if len(request.headers.getlist(CONVERSATION_ID)) > 1:
        raise RequestValidationError([{"type": "repeated", "loc": ("header", CONVERSATION_ID)}])
    if field is not None and field != header:
        raise RequestValidationError(
            [
                {
                    "type": "value_error",
                    "loc": ("header", CONVERSATION_ID),
                    "msg": "Value error, must be the same as metadata.conversation_id",
                }
            ]
        )
