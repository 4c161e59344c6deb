"""State of one chat request while it is processed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.entities.deadline import Deadline
from domain.entities.interaction import Attempt, Interaction
from domain.entities.reply import Usage


class Operation(StrEnum):
    """The operation of a request; the values are OpenTelemetry's names."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"


@dataclass(slots=True, kw_only=True)
class ChatRequestContext:
    """State shared by all layers that process one request to a model, such as a chat; mutable.

    Attributes:
        operation: A chat, or embeddings, which have no interaction.
        id: Id of the interaction, created on receipt.
        previous_id: Interaction that the request continues, if it names one; `NO_TURN_ID` for none of the conversation.
        metadata: The caller's own pairs of strings, stored with the interaction.
        model: Catalogue id of the requested model.
        preferred_model: Catalogue id of the first choice, where several routes share the requests for `model`; else None.
        started_seconds: Monotonic time of receipt.
        first_text_deadline: Deadline for the first text of the answer.
        answer_deadline: Deadline for the complete answer.
        longest_silence_seconds: How long a provider without a fallback may send nothing before its first text; None where
            `first_text_deadline` is the only limit.
        credential: What the request is made with, as in `Interaction.credential`.
        is_background: The answer does not depend on the connection.
        is_streamed: Text is sent to the client as it arrives, so it cannot be withdrawn.
        may_fall_back: Whether models other than `model` may answer.
        has_fallback: Whether another route can be tried after the current one; set by the fallback.
        spare_attempts: Retries the current route may use while at least one call remains for each untried route; set
            with `has_fallback`.
        ended_by_shutdown: The service ends the request because it stops.
        is_replayed: The stored answer of an earlier request with the same Idempotency-Key is returned.
        attempts: All provider calls so far, successful or not.
        is_handed_over: Another process continues the answer, and counts the calls in `attempts` with it.
        earlier_attempts: Calls that other processes made for the same answer; none but for background answers.
        text_so_far: Text that another process has written, which is to be continued; empty otherwise.
        reported_usage: Returns the usage that the provider of the current call has reported so far, with its price;
            None before the first call. Still available after the call failed or the client disconnected.
        is_sent: The prompt, or a part of it, was sent to a provider.
        is_content_stored: False if the caller requested that no content is stored.
        is_stored: False if the answer is returned although it could not be stored.
        interaction: The recorded interaction; None before the end.
        llm_seconds: Time from receipt to the end of the answer.
        history_seconds: Time spent until the interaction was durable.
    """

    operation: Operation = Operation.CHAT
    id: str
    user_id: str
    conversation_id: str | None = None
    previous_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    model: str
    started_seconds: float
    first_text_deadline: Deadline
    answer_deadline: Deadline
    longest_silence_seconds: float | None = None
    credential: str | None = None
    is_background: bool = False
    preferred_model: str | None = None
    is_streamed: bool = False
    may_fall_back: bool = True
    has_fallback: bool = False
    spare_attempts: int = 1
    ended_by_shutdown: bool = False
    is_replayed: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    is_handed_over: bool = False
    earlier_attempts: tuple[Attempt, ...] = ()
    text_so_far: str = ""
    reported_usage: Callable[[], Usage] | None = None
    is_sent: bool = False
    is_content_stored: bool = True
    is_stored: bool = True
    interaction: Interaction | None = None
    llm_seconds: float = 0.0
    history_seconds: float = 0.0
