"""Interactions: requests to a model with their outcomes, as stored in history; and their ids."""

import re
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import UTC, datetime
from enum import StrEnum

from domain.entities.items import (
    Attachment,
    OutputItem,
    Reasoning,
    ToolCall,
    ToolResult,
    tool_calls,
)
from domain.entities.prompt import Prompt
from domain.entities.reply import NO_USAGE, FinishReason, ProviderSelected, ReasoningDelta, Usage
from domain.entities.words import words_of
from domain.immutable import immutable


class Status(StrEnum):
    """Outcome of a request."""

    COMPLETED = "completed"
    TRUNCATED = "truncated"
    BLOCKED = "blocked"
    CLIENT_CANCELLED = "client_cancelled"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    IN_PROGRESS = "in_progress"


# On Python 3.11 a lookup in the class takes forty times as long, and this one is made for every chat.
_BLOCKED = Status.BLOCKED


@immutable
class Attempt:
    """One call of a provider.

    Attributes:
        outcome: `ok`, or `LLMError.outcome` of the error.
        seconds: Duration of the call.
        http_status: HTTP status of the provider; None if there was no response.
        usage: Tokens and price, for failed calls too; None if the provider reported neither.
    """

    provider: str
    model: str
    outcome: str
    seconds: float
    http_status: int | None = None
    usage: Usage | None = None


@immutable
class Interaction:
    """A request to a model with its answer or failure.

    Attributes:
        id: UUIDv7 created on receipt; contains the time of receipt, and makes storing idempotent.
        previous_id: Interaction that this one continues, if the request named one; `NO_TURN_ID` if nothing of the
            conversation goes before it.
        prompt: The question without earlier turns (`Prompt.for_storage`).
        requested_model: Model named in the request, else the default model.
        model: Catalogue id of the model that answered; after a failure, of the last one attempted.
        provider: Provider of `model`; None if no provider was called.
        text: The text of the answer, complete or partial.
        items: All items of the answer in order; empty if it is its text alone.
        usage: Sum over all attempts, failed ones included.
        latency_seconds: Time from receipt to the end of the answer, on a monotonic clock.
        error: `DomainError.code` of the failure; None if there was none.
        metadata: The caller's own pairs of strings.
        is_content_stored: False if the caller requested that no content is stored: then prompt and answer are empty, and
            it cannot be continued.
        is_background: It was answered in the background.
        credential: What the request was made with: the id of an API key, `token` for a token of an OIDC issuer,
            `anonymous` without authentication; None if it is not known. Counted in usage, not shown to users.
    """

    id: str
    user_id: str
    conversation_id: str | None = None
    previous_id: str | None = None
    prompt: Prompt
    requested_model: str
    model: str
    provider: str | None = None
    text: str = ""
    items: tuple[OutputItem, ...] = ()
    status: Status
    finish_reason: FinishReason | None = None
    usage: Usage = NO_USAGE
    fallback_used: bool = False
    latency_seconds: float
    time_to_first_token_seconds: float | None = None
    attempts: tuple[Attempt, ...] = ()
    error: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_content_stored: bool = True
    is_background: bool = False
    credential: str | None = None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Tool calls of the answer, in order."""
        return tool_calls(self.items) if self.items else ()

    @property
    def reasoning(self) -> str:
        """Reasoning of the model, as far as it shows it."""
        return "".join([item.text for item in self.items if isinstance(item, Reasoning)])

    def without_content(self) -> "Interaction":
        """Return the interaction without prompt, answer and metadata: user, time, model, outcome and cost remain."""
        return replace(
            self,
            prompt=Prompt.from_text("", model=self.prompt.model),
            text="",
            items=(),
            metadata={},
            is_content_stored=False,
        )

    @property
    def content_ids(self) -> tuple[str, ...]:
        """Ids of the contents that are stored like attachments: attachments of the prompt and long texts."""
        prompt = self.prompt
        ids = [prompt.system_content_id, prompt.tools_content_id]
        inputs = [item for message in prompt.messages for item in message.items]
        for item in (*inputs, *self.items):
            if isinstance(item, Attachment):
                ids.append(item.id)
            elif isinstance(item, ToolCall | ToolResult):
                ids.append(item.content_id)
        return tuple(dict.fromkeys([content_id for content_id in ids if content_id is not None]))

    @property
    def milliseconds(self) -> int:
        """Time of receipt in milliseconds since 1970 UTC: the first 48 bits of the id."""
        return milliseconds_of(self.id)

    @property
    def asked_at(self) -> datetime:
        """Time of receipt, in UTC with milliseconds."""
        return asked_at(self.id)

    @property
    def is_answered(self) -> bool:
        """Whether there is an answer to show. History lists these when no status is given."""
        if self.status is _BLOCKED:
            return bool(self.text)
        return self.status in ANSWERED

    def contains_words(self, words: frozenset[str]) -> bool:
        """Return whether all `words` occur in the question or the answer."""
        return not words or words <= words_of(self.prompt.text, self.text)


def replaces(new: Status, stored: Status) -> bool:
    """Return whether an interaction of status `new` replaces a stored one of the same id.

    An interaction gets one outcome: it replaces `interrupted` and `in_progress`, and `interrupted` replaces
    `in_progress`. Everything else that is stored stays.
    """
    return _FINALITY.get(new, 2) > _FINALITY.get(stored, 2)


def replaced_by(new: str) -> frozenset[Status]:
    """Return the statuses of stored interactions that one of status `new` replaces; empty if it replaces none."""
    return _REPLACED_BY[Status(new)]


_FINALITY = {Status.IN_PROGRESS: 0, Status.INTERRUPTED: 1}
_REPLACED_BY = {
    new: frozenset(stored for stored in Status if replaces(new, stored)) for new in Status
}

PROVISIONAL = frozenset(_FINALITY)
"""Statuses of interactions that another one of the same id may replace."""

ChatEvent = ProviderSelected | str | ReasoningDelta | ToolCall | Interaction
"""The selected provider, a piece of text or of reasoning, a complete tool call, or the stored interaction at the end."""

ANSWERED = frozenset({Status.COMPLETED, Status.TRUNCATED, Status.CLIENT_CANCELLED})

NO_TURN_ID = "00000000-0000-7000-8000-000000000000"
"""The `previous_id` of a branch from the beginning of its conversation; smaller than the id of every interaction."""


CREDENTIAL_PATTERN = r"^[a-z0-9]{1,64}$"
"""The form of `Interaction.credential`."""

LAST_MILLISECOND = 253_402_300_799_999
"""Last millisecond of the year 9999; `datetime` cannot represent later times."""

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def is_interaction_id(value: object) -> bool:
    """Return whether `value` is a valid interaction id: a lower-case UUIDv7 of the year 9999 at the latest.

    Used for all external data: queue messages and files to import.
    """
    return (
        isinstance(value, str)
        and _ID.fullmatch(value) is not None
        and milliseconds_of(value) <= LAST_MILLISECOND
    )


def milliseconds_of(interaction_id: str) -> int:
    """Return the time in a UUIDv7, in milliseconds since 1970 UTC (RFC 9562, section 5.7)."""
    return int(interaction_id[:8] + interaction_id[9:13], 16)


def asked_at(interaction_id: str) -> datetime:
    """Return the time of receipt in an id, in UTC with milliseconds."""
    return datetime.fromtimestamp(milliseconds_of(interaction_id) / 1000, UTC)


def first_id_at(milliseconds: int) -> str:
    """Return the smallest id of a millisecond, for turning a time range into an id range.

    Args:
        milliseconds: Time since 1970 UTC; clamped to 48 bits.
    """
    digits = f"{min(max(milliseconds, 0), 0xFFFF_FFFF_FFFF):012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"


def first_id_after(interaction_id: str) -> str:
    """Return the smallest id of the millisecond after that of `interaction_id`."""
    return first_id_at(milliseconds_of(interaction_id) + 1)
