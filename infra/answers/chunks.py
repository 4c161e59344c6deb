"""Chunks: what one append adds to a log, the unit in which every adapter stores records."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from domain.entities.background.answer import AnswerKey, AnswerLease, BackgroundAnswer
from domain.entities.background.log import LogEvent, LogPage, LogRecord, is_event
from domain.entities.interaction import Interaction
from domain.exceptions import LeaseLost
from infra.answers.format import json_of_records, records_in

_ENDED = -1
"""The next position of a lease that has ended its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Records that are stored together.

    Attributes:
        position: Place among the chunks of the log, from 0, without gaps.
        epoch: The lease that wrote it.
        first_number: Number of its first event, or of the next one of the log if it has none.
        next_number: Number of the first event after it.
        count: Number of its records.
        is_last: Whether it ends the log.
        body: The records as JSON.
    """

    key: AnswerKey
    position: int
    epoch: int
    first_number: int
    next_number: int
    count: int
    is_last: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored at the position of a chunk: the chunk, or what an earlier try of the same lease stored there.

    Attributes:
        count: Number of its records.
        next_number: Number of the first event after it.
    """

    count: int
    next_number: int


async def add(
    lease: AnswerLease,
    records: Sequence[LogRecord],
    put: Callable[[Chunk], Awaitable[Stored]],
    *,
    is_end: bool = False,
) -> None:
    """Store records at the next position of the lease, and move it on.

    An append whose confirmation was lost may be repeated with further records after its own: those are stored at the
    position after it.

    Args:
        lease: Moved on with each stored chunk.
        records: The records.
        put: Stores a chunk, unless the lease has stored one at its position before; raises `LeaseLost`.
        is_end: Whether the records end the log.

    Raises:
        LeaseLost: The lease has ended the log.
    """
    if lease.next_position == _ENDED:
        raise LeaseLost
    while records:
        stored = await put(_chunk_of(lease, records, is_end))
        lease.next_position += 1
        lease.next_number = stored.next_number
        records = records[stored.count :]
    if is_end:
        lease.next_position = _ENDED


def page_of(
    answer: BackgroundAnswer,
    bodies: Sequence[tuple[int, bytes]],
    *,
    after: int,
    limit: int,
    end_number: int | None,
) -> LogPage:
    """Return the events with numbers greater than `after` of successive chunks.

    Args:
        answer: The request.
        bodies: First number and body of each chunk, in order.
        after: Number before that of the first event.
        limit: Most events.
        end_number: Number that follows the last event of the log; None while the log has no end.

    Raises:
        UnreadableDocument: A chunk cannot be read.
    """
    events: list[LogEvent] = []
    for first_number, body in bodies:
        number = first_number
        for record in records_in(body):
            if is_event(record):
                if number > after and len(events) < limit:
                    events.append(record)  # type: ignore[arg-type]
                number += 1
    if events:
        is_ended = isinstance(events[-1], Interaction)
    else:
        is_ended = end_number is not None and after >= end_number - 1
    return LogPage(answer=answer, first_number=after + 1, events=tuple(events), is_ended=is_ended)


def _chunk_of(lease: AnswerLease, records: Sequence[LogRecord], is_last: bool) -> Chunk:
    return Chunk(
        key=lease.key,
        position=lease.next_position,
        epoch=lease.epoch,
        first_number=lease.next_number,
        next_number=lease.next_number + sum(map(is_event, records)),
        count=len(records),
        is_last=is_last,
        body=json_of_records(records),
    )
