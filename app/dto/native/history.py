"""Questions to history, and its pages."""

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
        default=None, max_length=256, description="Only answers of this catalogue id."
    )
    provider: str | None = Field(
        default=None, max_length=256, description="Only answers of this provider."
    )
    conversation_id: UserId | None = Field(
        default=None, description="Only turns of this conversation."
    )
    status: list[Status] = Field(
        default=[],
        description="Repeatable; left out: those with an answer (`completed`, `truncated`, `client_cancelled`, and `blocked` when it has text).",
    )
    from_: Time | None = Field(
        default=None, alias="from", description="Not before this time (RFC 3339)."
    )
    to: Time | None = Field(default=None, description="Before this time (RFC 3339).")
    q: SearchText | None = Field(
        default=None,
        description="Words that must all occur in prompt or response, whole, in any order. Case does not count, nor do accents on a to z, nor whether text is composed or decomposed; of what is written without spaces only the whole is found.",
        examples=["event loop"],
    )
    order: Order = Field(default=Order.DESC, description="`desc`: newest first.")
    limit: int = Field(default=20, ge=1, le=100, description="Interactions in a page.")
    cursor: str | None = Field(
        default=None,
        description="`nextCursor` of the page before; only with the same user, filters and order.",
    )
    after_id: InteractionId | None = Field(
        default=None, description="Answer once this interaction is visible, or after `wait`."
    )
    wait: float = Field(
        default=0.0, ge=0.0, le=5.0, description="Seconds to wait for `afterId` at the most."
    )

    def to_query(self, user_id: str) -> HistoryQuery:
        """Return the same question in the domain's words."""
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
        description="The interactions, in the order asked for; empty for an unknown user."
    )
    next_cursor: str | None = Field(
        description="Ask with it for the page that follows; null on the last one."
    )
    complete: bool = Field(
        description="false: the interaction named by `afterId` was not visible in time."
    )

    @classmethod
    def of(cls, found: HistoryResultPage) -> Self:
        """Return the same page in the wire's words."""
        return cls(
            history=[InteractionDto.of(interaction) for interaction in found.page.interactions],
            next_cursor=found.next_cursor,
            complete=found.is_complete,
        )


class Erased(Dto):
    """How much was erased."""

    deleted: int = Field(description="Interactions that were there.", examples=[3])
