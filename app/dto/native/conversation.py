"""Query parameters and response bodies of the conversation list."""

from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field

from app.dto.wire import Dto, RequestDto, format_time, reject_nul
from domain.entities.conversation import Conversation, ConversationQuery
from domain.entities.result_page import ConversationResultPage


class ConversationParameters(Dto):
    """The query of GET /v1/history/{userId}/conversations."""

    model_config = ConfigDict(hide_input_in_errors=True)

    limit: int = Field(
        default=20, ge=1, le=100, description="Maximum number of conversations per page."
    )
    cursor: str | None = Field(
        default=None,
        description="`nextCursor` of the previous page; valid only with the same user.",
    )

    def to_query(self, user_id: str) -> ConversationQuery:
        """Return the domain query of `user_id` with these parameters."""
        return ConversationQuery(user_id=user_id, limit=self.limit)


class ConversationDto(Dto):
    """A user's interactions with the same `conversationId`, in summary."""

    id: str = Field(description="The `conversationId` of its interactions.", examples=["loops"])
    turns: int = Field(description="Number of its interactions, of every status.", examples=[4])
    first_at: str = Field(
        description="Time of the first interaction, RFC 3339 UTC with milliseconds.",
        examples=["2026-11-22T10:00:00.123Z"],
        json_schema_extra={"format": "date-time"},
    )
    last_at: str = Field(
        description="Time of the last interaction, likewise.",
        examples=["2026-11-22T10:03:00.456Z"],
        json_schema_extra={"format": "date-time"},
    )
    title: str = Field(
        description="The title it was given, else the start of the first prompt.",
        examples=["What is an event loop?"],
    )

    @classmethod
    def from_conversation(cls, conversation: Conversation) -> Self:
        """Return the response object for `conversation`."""
        return cls(
            id=conversation.id,
            turns=conversation.turns,
            first_at=format_time(conversation.first_at),
            last_at=format_time(conversation.last_at),
            title=conversation.title,
        )


class ConversationTitle(RequestDto):
    """Body of PATCH /v1/history/{userId}/conversations/{conversationId}."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Event loops"}]})

    title: Annotated[str, AfterValidator(reject_nul)] = Field(
        max_length=200,
        description="Shown in the list of conversations; empty for the start of the first prompt.",
    )


class RenamedConversation(Dto):
    """A conversation with its new title."""

    id: str = Field(description="The `conversationId` of its interactions.", examples=["loops"])
    title: str = Field(description="The title.", examples=["Event loops"])


class ConversationList(Dto):
    """One page of a user's conversations."""

    conversations: list[ConversationDto] = Field(
        description="Most recently active first; empty for an unknown user."
    )
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last page.")

    @classmethod
    def from_result_page(cls, result: ConversationResultPage) -> Self:
        """Return the response body for `result`."""
        return cls(
            conversations=[
                ConversationDto.from_conversation(conversation)
                for conversation in result.page.conversations
            ],
            next_cursor=result.next_cursor,
        )
