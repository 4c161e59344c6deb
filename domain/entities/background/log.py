"""The records of an answer's log, and the pages and leases that readers and writers get."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from domain.entities.background.answer import AnswerLease, BackgroundAnswer
from domain.entities.interaction import Attempt, Interaction
from domain.entities.items import ToolCall
from domain.entities.reply import MetadataReceived, ProviderSelected, ReasoningDelta


@dataclass(frozen=True, slots=True)
class Restarted:
    """The text so far is void, because no model could continue it; the answer starts again.

    Attributes:
        reason: Fixed text for clients.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A provider call begins. The event `ProviderSelected` follows with its first text, unless the call continues the text."""

    selected: ProviderSelected


@dataclass(frozen=True, slots=True)
class Concluded:
    """The outcome, before it is in history: no provider is called any more, and only the end is missing."""

    interaction: Interaction


LogEvent = ProviderSelected | str | ReasoningDelta | ToolCall | Restarted | Interaction
"""An event that readers see, numbered from 0. The interaction with its outcome is the last one."""

LogRecord = LogEvent | MetadataReceived | Asked | Attempt | Concluded
"""Events, and records that another process needs to continue; an `Attempt` is a finished call of a provider."""

_HIDDEN = (MetadataReceived, Asked, Attempt, Concluded)


def is_event(record: LogRecord) -> bool:
    """Return whether readers see the record, so that it has a number."""
    return not isinstance(record, _HIDDEN)


class LeaseState(Enum):
    """The state of a lease."""

    HELD = "held"
    STOPPED = "stopped"
    """Still held, and the user requested to stop the answer."""
    LOST = "lost"
    """Lost: another process has a newer lease, or the answer was erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOver:
    """An answer whose lease this process has now.

    Attributes:
        records: All of the log.
        is_stopped: The user requested to stop the answer.
        last_written_milliseconds: When the last record was written, since 1970 UTC; of the request without any.
    """

    answer: BackgroundAnswer
    lease: AnswerLease
    records: Sequence[LogRecord]
    is_stopped: bool
    last_written_milliseconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """Successive events of a log.

    Attributes:
        first_number: Number of the first of `events`.
        is_ended: Whether the last event of the log is among `events`, or before them.
    """

    answer: BackgroundAnswer
    first_number: int
    events: Sequence[LogEvent] = field(default_factory=tuple)
    is_ended: bool = False
