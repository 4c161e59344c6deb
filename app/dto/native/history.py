"""Query parameters and response bodies of the history routes."""

from typing import Self

from pydantic import ConfigDict, Field

from app.dto.native.interaction import InteractionDto
from app.dto.wire import Dto, InteractionId, SearchText, Time, UserId, id_range
from domain.entities.history_query import HistoryFilter, HistoryQuery, Order
from domain.entities.interaction import Status
from domain.entities.result_page import HistoryResultPage
from domain.entities.words import words_of


class HistoryParameters(Dto):
    """The query of GET /v1/history/{userId}."""

    model_config = ConfigDict(hide_input_in_errors=True)

    model: str | None = Field(
        default=None,
        max_length=256,
        description="Only interactions with the model of this catalogue id.",
    )
    provider: str | None = Field(
        default=None, max_length=256, description="Only interactions with this provider."
    )
    conversation_id: UserId | None = Field(
        default=None, description="Only interactions of this conversation."
    )
    status: list[Status] = Field(
        default=[],
        description="Only interactions with this status; repeatable. Default: those with an answer (`completed`, `truncated`, `client_cancelled`, and `blocked` with text).",
    )
    from_: Time | None = Field(
        default=None, alias="from", description="Not before this time (RFC 3339)."
    )
    to: Time | None = Field(default=None, description="Before this time (RFC 3339).")
    q: SearchText | None = Field(
        default=None,
        description="Whole words that must all occur in the prompt or the response, in any order. Case, accents on a to z, and Unicode composition are ignored; a run of text without spaces matches only as a whole.",
        examples=["event loop"],
    )
    order: Order = Field(default=Order.DESC, description="`desc`: newest first.")
    limit: int = Field(
        default=20, ge=1, le=100, description="Maximum number of interactions per page."
    )
    cursor: str | None = Field(
        default=None,
        description="`nextCursor` of the previous page; valid only with the same user, filters and order.",
    )
    after_id: InteractionId | None = Field(
        default=None, description="Respond once this interaction is visible, or after `wait`."
    )
    wait: float = Field(
        default=0.0, ge=0.0, le=5.0, description="Maximum number of seconds to wait for `afterId`."
    )

    def to_query(self, user_id: str) -> HistoryQuery:
        """Return the domain query of `user_id` with these parameters."""
        from_id, to_id = id_range(self.from_, self.to)
        return HistoryQuery(
            user_id=user_id,
            filter=HistoryFilter(
                model=self.model,
                provider=self.provider,
                conversation_id=self.conversation_id,
                statuses=frozenset(self.status),
                from_id=from_id,
                to_id=to_id,
                words=words_of(self.q or ""),
            ),
            order=self.order,
            limit=self.limit,
        )


class HistoryPage(Dto):
    """One page of a user's history."""

    history: list[InteractionDto] = Field(
        description="The interactions, in the requested order; empty for an unknown user."
    )
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last page.")
    complete: bool = Field(
        description="false: the interaction of `afterId` was not visible in time."
    )

    @classmethod
    def from_result_page(cls, result: HistoryResultPage) -> Self:
        """Return the response body for `result`."""
        return cls(
            history=[
                InteractionDto.from_interaction(interaction)
                for interaction in result.page.interactions
            ],
            next_cursor=result.next_cursor,
            complete=result.is_complete,
        )


class Erased(Dto):
    """The result of an erasure."""

    deleted: int = Field(description="Number of interactions erased.", examples=[3])
