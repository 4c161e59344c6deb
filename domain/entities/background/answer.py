"""A background answer: its request, and the lease of the process that generates it."""

from dataclasses import dataclass

from domain.entities.interaction import Interaction


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerKey:
    """Identifies a background answer: the user and the id of its interaction."""

    user_id: str
    interaction_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundAnswer:
    """The request of a background answer, with all that a process needs to generate the answer.

    Attributes:
        interaction: As accepted, of status `in_progress`, with the prompt as stored in history.
        brings_context: As in the request: the prompt contains its conversation.
        may_fall_back: Whether models other than the requested one may answer.
        rate_limit_key: Caller whose token quota the answer uses; None without one.
        request_id: Id of the HTTP request that began it; its errors name it.
        traceparent: Span of that request, as in W3C Trace Context; None without tracing.
    """

    interaction: Interaction
    brings_context: bool = False
    may_fall_back: bool = True
    rate_limit_key: str | None = None
    request_id: str = ""
    traceparent: str | None = None

    @property
    def key(self) -> AnswerKey:
        """The user and the id of the interaction."""
        return AnswerKey(user_id=self.interaction.user_id, interaction_id=self.interaction.id)


@dataclass(slots=True, kw_only=True)
class AnswerLease:
    """The right to write the log of one answer, for one process and a limited time.

    Attributes:
        epoch: Number of the lease among those of this answer, from 1; the log refuses records of older ones.
        takeovers: How often a process that lost its lease was replaced; released leases do not count.
        next_position: Where the log puts the next records; managed by the log only.
        next_number: Number of the next event that readers see; managed by the log only.
    """

    key: AnswerKey
    epoch: int
    takeovers: int = 0
    next_position: int = 0
    next_number: int = 0
