"""One request to a model and what became of it, as history keeps it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from domain.entities.prompt import Prompt
from domain.entities.reply import NO_USAGE, FinishReason, Usage
from domain.entities.words import words_of


class Status(StrEnum):
    """What became of a request."""

    COMPLETED = "completed"
    TRUNCATED = "truncated"
    BLOCKED = "blocked"
    CLIENT_CANCELLED = "client_cancelled"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call of one provider.

    Attributes:
        outcome: `ok`, or the code of the error it ended with.
        seconds: From the start of the attempt to its end.
        http_status: The provider's status; None when it sent none.
        usage: Tokens and price, whatever the outcome; None when the provider reported neither.
    """

    provider: str
    model: str
    outcome: str
    seconds: float
    http_status: int | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """Who asked what, what came back, from whom, and how long it took.

    Attributes:
        id: UUIDv7 made on receipt, unique for ever: saving it twice changes nothing, and it carries the time.
        prompt: As kept: the question without the turns sent along.
        requested_model: What was asked for, or the default where nothing was.
        model: The catalogue id of who answered; of a failed one, the last attempted.
        provider: Its provider; None where no provider was reached.
        text: The answer, or what there is of it.
        usage: The sum over all attempts, also those that failed.
        latency_seconds: From receipt to the end of the answer, on a monotonic clock.
        error: The code of what went wrong; None when nothing did.
    """

    id: str
    user_id: str
    conversation_id: str | None = None
    prompt: Prompt
    requested_model: str
    model: str
    provider: str | None = None
    text: str = ""
    status: Status
    finish_reason: FinishReason | None = None
    usage: Usage = NO_USAGE
    fallback_used: bool = False
    latency_seconds: float
    time_to_first_token_seconds: float | None = None
    attempts: tuple[Attempt, ...] = ()
    error: str | None = None

    @property
    def milliseconds(self) -> int:
        """Receipt, in milliseconds since 1970 UTC: the first 48 bits of the id."""
        return milliseconds_of(self.id)

    @property
    def asked_at(self) -> datetime:
        """Receipt, in UTC with milliseconds."""
        return asked_at(self.id)

    @property
    def is_answered(self) -> bool:
        """Whether there is an answer to show: what history lists when no status is asked for."""
        if self.status is Status.BLOCKED:
            return bool(self.text)
        return self.status in ANSWERED

    def says(self, words: frozenset[str]) -> bool:
        """Return whether all of these words occur in the question or the answer."""
        return not words or words <= words_of(self.prompt.text, self.text)


ANSWERED = frozenset({Status.COMPLETED, Status.TRUNCATED, Status.CLIENT_CANCELLED})


LAST_MILLISECOND = 253_402_300_799_999
"""Of the year 9999: later times cannot be written as a timestamp."""

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def is_interaction_id(value: object) -> bool:
    """Return whether `value` can be the id of an interaction: a UUIDv7 in lower case, of the year 9999 at the latest.

    The one check for whatever comes from outside: the queue, and files to import.
    """
    return (
        isinstance(value, str)
        and _ID.fullmatch(value) is not None
        and milliseconds_of(value) <= LAST_MILLISECOND
    )


def milliseconds_of(interaction_id: str) -> int:
    """Return the millisecond time a UUIDv7 carries (RFC 9562, section 5.7)."""
    return int(interaction_id[:8] + interaction_id[9:13], 16)


def asked_at(interaction_id: str) -> datetime:
    """Return the time of receipt that an id carries, in UTC with milliseconds."""
    return datetime.fromtimestamp(milliseconds_of(interaction_id) / 1000, UTC)


def first_id_at(milliseconds: int) -> str:
    """Return the smallest id of that millisecond, so that a range of time becomes a range of ids.

    Args:
        milliseconds: Since 1970 UTC; clamped to what 48 bits hold.
    """
    digits = f"{min(max(milliseconds, 0), 0xFFFF_FFFF_FFFF):012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"


def first_id_after(interaction_id: str) -> str:
    """Return the smallest id of the millisecond that follows the given id's."""
    return first_id_at(milliseconds_of(interaction_id) + 1)
