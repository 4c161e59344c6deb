"""Conventions of the JSON bodies: camelCase, no unknown fields, RFC 3339 times with milliseconds."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from domain.entities.caller import USER_ID_PATTERN
from domain.entities.interaction import NO_TURN_ID, first_id_at
from domain.entities.words import MAX_SEARCH_CHARACTERS, words_of

INTERACTION_ID_PATTERN = (
    r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"
)
PREVIOUS_NONE = "none"
"""`previousId` of a branch from the beginning of its conversation."""
_RFC_3339 = re.compile(
    r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$", re.ASCII
)


class Dto(BaseModel):
    """Base of all bodies: snake_case in Python, camelCase in JSON."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class RequestDto(Dto):
    """Base of request bodies; validates strictly, without type conversion."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)


def reject_nul(text: str) -> str:
    """Return `text`; raises `ValueError` if it contains a NUL, which some stores cannot hold."""
    if "\x00" in text:
        raise ValueError("must not contain NUL characters")
    return text


def require_word(text: str) -> str:
    """Return `text`; raises `ValueError` if it contains no word to search for."""
    if not words_of(text):
        raise ValueError("must contain at least one letter or digit")
    return text


def at_most_bytes(limit_bytes: int) -> AfterValidator:
    """Return a validator that limits the UTF-8 encoding of a text to `limit_bytes`."""

    def check(text: str) -> str:
        # A character takes at most four bytes, so most texts need no encoding to be measured.
        if len(text) * 4 > limit_bytes and len(text.encode()) > limit_bytes:
            raise ValueError(f"must be at most {limit_bytes} bytes of UTF-8")
        return text

    return AfterValidator(check)


def _rfc_3339(value: Any) -> Any:
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError("must be an RFC 3339 time such as 2026-11-22T10:00:00Z")
    return value


def _previous_id(text: str) -> str:
    return NO_TURN_ID if text == PREVIOUS_NONE else text.lower()


UserId = Annotated[str, Field(pattern=USER_ID_PATTERN, examples=["ana"])]
InteractionId = Annotated[str, Field(pattern=INTERACTION_ID_PATTERN), AfterValidator(str.lower)]
PreviousId = Annotated[
    str,
    Field(pattern=rf"^{PREVIOUS_NONE}$|{INTERACTION_ID_PATTERN}"),
    AfterValidator(_previous_id),
]
PromptText = Annotated[
    str,
    Field(min_length=1, max_length=131_072),
    AfterValidator(reject_nul),
    at_most_bytes(131_072),
]
SystemText = Annotated[
    str, Field(max_length=32_768), AfterValidator(reject_nul), at_most_bytes(32_768)
]
SearchText = Annotated[str, Field(max_length=MAX_SEARCH_CHARACTERS), AfterValidator(require_word)]
Time = Annotated[AwareDatetime, BeforeValidator(_rfc_3339)]


def to_epoch_milliseconds(moment: datetime) -> int:
    """Return milliseconds since 1970 UTC, rounded up."""
    since = moment - _EPOCH
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return -(-microseconds // 1000)


def id_range(start: datetime | None, end: datetime | None) -> tuple[str | None, str | None]:
    """Return the ids that delimit the time range from `start` (inclusive) to `end` (exclusive); None where unlimited."""
    return (
        None if start is None else first_id_at(to_epoch_milliseconds(start)),
        None if end is None else first_id_at(to_epoch_milliseconds(end)),
    )


def from_epoch_milliseconds(milliseconds: int) -> datetime:
    """Return the UTC time `milliseconds` after the start of 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def format_time(moment: datetime) -> str:
    """Return `moment`, which must be in UTC, in RFC 3339 format with milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
