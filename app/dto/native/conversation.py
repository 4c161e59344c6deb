"""Conversations, as callers see them."""

from typing import Self

from pydantic import ConfigDict, Field

from app.dto.wire import Dto, wire_time
from domain.entities.conversation import Conversation, ConversationQuery
from domain.entities.result_page import ConversationResultPage


class ConversationParameters(Dto):
    """The query of GET /v1/history/{userId}/conversations."""

    model_config = ConfigDict(hide_input_in_errors=True)

    limit: int = Field(default=20, ge=1, le=100, description="Conversations in a page.")
    cursor: str | None = Field(
        default=None, description="`nextCursor` of the page before; only with the same user."
    )

    def to_query(self, user_id: str) -> ConversationQuery:
        """Return the same question in the domain's words."""
        return ConversationQuery(user_id=user_id, limit=self.limit)


class ConversationDto(Dto):
    """What a user filed under one name."""

    id: str = Field(description="The `conversationId` of its interactions.", examples=["loops"])
    turns: int = Field(description="Its interactions, whatever became of them.", examples=[4])
    first_at: str = Field(
        description="When the first was asked, RFC 3339 UTC with milliseconds.",
        examples=["2026-11-22T10:00:00.123Z"],
        json_schema_extra={"format": "date-time"},
    )
    last_at: str = Field(
        description="When the last was asked.",
        examples=["2026-11-22T10:03:00.456Z"],
        json_schema_extra={"format": "date-time"},
    )
    title: str = Field(
        description="The start of the first prompt.", examples=["What is an event loop?"]
    )

    @classmethod
    def of(cls, conversation: Conversation) -> Self:
        """Return the same conversation in the wire's words."""
        return cls(
            id=conversation.id,
            turns=conversation.turns,
            first_at=wire_time(conversation.first_at),
            last_at=wire_time(conversation.last_at),
            title=conversation.title,
        )


class ConversationList(Dto):
    """One page of a user's conversations."""

    conversations: list[ConversationDto] = Field(
        description="Last active first; empty for an unknown user."
    )
    next_cursor: str | None = Field(
        description="Ask with it for the page that follows; null on the last one."
    )

    @classmethod
    def of(cls, found: ConversationResultPage) -> Self:
        """Return the same page in the wire's words."""
        return cls(
            conversations=[ConversationDto.of(one) for one in found.page.conversations],
            next_cursor=found.next_cursor,
        )
