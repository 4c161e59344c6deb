"""One request on its way through the service."""

from collections.abc import Callable
from dataclasses import dataclass, field

from domain.entities.deadline import Deadline
from domain.entities.interaction import Attempt, Interaction
from domain.entities.reply import Usage


@dataclass(slots=True, kw_only=True)
class ChatRequestContext:
    """What all who handle one request share; the only mutable thing handed down.

    Attributes:
        id: The interaction's id, made on receipt.
        model: The resolved catalogue id that was asked for.
        started_seconds: Monotonic time of receipt.
        first_text_deadline: The first word of the answer must have come by then.
        answer_deadline: The whole answer must have come by then.
        is_streamed: The caller sees each word as it comes, so no word may be taken back.
        may_fall_back: False: only `model` may answer.
        has_fallback: Another route could still be tried after the one under way; set by who falls back.
        spare_attempts: How many calls the route under way may have beyond its first, without taking one from a route
            that was not asked yet; set with `has_fallback`.
        ended_by_shutdown: We end it ourselves, because the service stops.
        is_replayed: It was answered before, and the answer is told again.
        attempts: Every call of a provider so far, whatever became of it.
        reported_usage: Returns what the provider of the call under way has reported so far, priced; None until it
            can report anything. It outlives the call's failure, and a caller who leaves.
        is_sent: The prompt, or a part of it, went out to a provider.
        is_stored: False: the answer is given although it could not be kept.
        interaction: What was recorded; None until then.
        llm_seconds: From receipt to the end of the answer.
        history_seconds: Spent waiting for the interaction to be durable.
    """

    id: str
    user_id: str
    conversation_id: str | None = None
    model: str
    started_seconds: float
    first_text_deadline: Deadline
    answer_deadline: Deadline
    is_streamed: bool = False
    may_fall_back: bool = True
    has_fallback: bool = False
    spare_attempts: int = 1
    ended_by_shutdown: bool = False
    is_replayed: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    reported_usage: Callable[[], Usage] | None = None
    is_sent: bool = False
    is_stored: bool = True
    interaction: Interaction | None = None
    llm_seconds: float = 0.0
    history_seconds: float = 0.0
