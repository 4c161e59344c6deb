"""Reads of `answers.db`."""

from collections.abc import Sequence
from typing import Any

import apsw

from domain.entities.background.answer import AnswerKey, AnswerLease, BackgroundAnswer
from domain.entities.background.log import LeaseState, LogPage, LogRecord
from infra.answers.chunks import page_of
from infra.answers.format import answer_in, records_in
from infra.answers.requests import RequestCache
from infra.answers.sqlite.jobs import state_of


def has_tables(connection: apsw.Connection) -> bool:
    """Return whether the file has its tables, which the process that creates it adds after the file."""
    return bool(connection.pragma("user_version"))


def states(connection: apsw.Connection, leases: Sequence[AnswerLease]) -> list[LeaseState]:
    """Return the states of leases, in order."""
    return [state_of(connection, lease) for lease in leases]


def abandoned(connection: apsw.Connection, now_milliseconds: int, limit: int) -> list[AnswerKey]:
    """Return the answers without an end whose lease ended at a time or before it, first those that wait longest."""
    rows = connection.execute(
        "SELECT user_id, id FROM answer WHERE lease_until_ms <= ? AND ended_at_ms IS NULL"
        " ORDER BY lease_until_ms LIMIT ?",
        (now_milliseconds, limit),
    )
    return [AnswerKey(user_id=user_id, interaction_id=id_) for user_id, id_ in rows]


def whole(
    connection: apsw.Connection, key: AnswerKey
) -> tuple[BackgroundAnswer, list[LogRecord]] | None:
    """Return the request and the records of a log; None without a log."""
    body = _request(connection, key)
    if body is None:
        return None
    rows = connection.execute(
        "SELECT body FROM answer_record WHERE user_id = ? AND id = ? ORDER BY position",
        (key.user_id, key.interaction_id),
    )
    return answer_in(body), [record for (body,) in rows for record in records_in(body)]


def page(
    connection: apsw.Connection,
    key: AnswerKey,
    cache: RequestCache,
    *,
    after: int,
    limit: int,
    kept_after_milliseconds: int,
) -> LogPage | None:
    """Return events with numbers greater than `after`; None without a log, or if it did not end after a time."""
    header: Any = connection.execute(
        "SELECT next_number, ended_at_ms FROM answer"
        " WHERE user_id = ? AND id = ? AND ifnull(ended_at_ms > ?, 1)",
        (key.user_id, key.interaction_id, kept_after_milliseconds),
    ).fetchone()
    answer = None if header is None else _answer(connection, key, cache)
    if answer is None:
        cache.drop(key)
        return None
    bodies: list[tuple[int, bytes]] = []
    rows = connection.execute(
        "SELECT first_number, next_number, body FROM answer_record"
        " WHERE user_id = ? AND id = ? AND next_number > ? ORDER BY next_number, position",
        (key.user_id, key.interaction_id, after + 1),
    )
    for first_number, next_number, body in rows:
        bodies.append((first_number, body))
        if next_number - 1 - after >= limit:
            break
    next_number, ended_at = header
    return page_of(
        answer,
        bodies,
        after=after,
        limit=limit,
        end_number=None if ended_at is None else next_number,
    )


def _answer(
    connection: apsw.Connection, key: AnswerKey, cache: RequestCache
) -> BackgroundAnswer | None:
    if (kept := cache.get(key)) is not None:
        return kept
    body = _request(connection, key)
    if body is None:
        return None
    answer = answer_in(body)
    cache.keep(answer, len(body))
    return answer


def _request(connection: apsw.Connection, key: AnswerKey) -> bytes | None:
    row = connection.execute(
        "SELECT body FROM answer_request WHERE user_id = ? AND id = ?",
        (key.user_id, key.interaction_id),
    ).fetchone()
    return None if row is None else row[0]
