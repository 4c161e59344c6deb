"""Reads pages of history from SQLite, at the same cost at any depth."""

from collections.abc import Sequence
from dataclasses import dataclass

import apsw
import orjson

from domain.entities.history_query import HistoryQuery, Order, Page
from domain.entities.interaction import ANSWERED, Interaction, Status
from infra.history.format.documents import interaction_of

SCANNED_ROWS = 10_000
"""Maximum number of rows that one page scans for filters without an index; it then ends early with a cursor."""

Value = str | int

_UNANSWERED = frozenset({Status.FAILED, Status.INTERRUPTED, Status.IN_PROGRESS})

_STRAIGHT = """
SELECT CAST(group_concat(body, ',' ORDER BY id {order}) AS BLOB), NULL FROM (
    SELECT id, body FROM interaction INDEXED BY {index} WHERE {range} ORDER BY id {order} LIMIT :wanted
)
"""

_SIFTED = """
WITH picked AS MATERIALIZED (
    SELECT seq FROM (
        SELECT seq, id, model, provider, status, answered FROM interaction INDEXED BY {index}
        WHERE {range} ORDER BY id {order} LIMIT :scanned
    )
    WHERE {sieve} LIMIT :wanted
)
SELECT
    (SELECT CAST(group_concat(body, ',' ORDER BY id {order}) AS BLOB) FROM interaction WHERE seq IN picked),
    CASE WHEN (SELECT count(*) FROM picked) < :wanted THEN (
        SELECT id FROM interaction INDEXED BY {index}
        WHERE {range} ORDER BY id {order} LIMIT 1 OFFSET :scanned - 1
    ) END
"""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a query is answered: a range of one index, and filters applied row by row.

    Attributes:
        index: The name of the index.
        equal: Columns of the index with one allowed value.
        sieve: Further columns with their allowed values.
    """

    index: str
    equal: dict[str, Value]
    sieve: dict[str, Sequence[Value]]


def search(connection: apsw.Connection, query: HistoryQuery) -> Page:
    """Return one page of `query`, read by one statement and so from one state of the file.

    SQLite joins the bodies into one text, so that the thread takes the interpreter's lock once, not for every row.
    """
    sql, values = _statement(query)
    joined, scanned_to = next(connection.execute(sql, values))
    documents = [] if joined is None else orjson.loads(b"[" + joined + b"]")
    next_id = scanned_to
    if len(documents) > query.limit:
        documents = documents[: query.limit]
        next_id = documents[-1]["id"]
    return Page(interactions=[interaction_of(document) for document in documents], next_id=next_id)


def find(connection: apsw.Connection, user_id: str, interaction_id: str) -> Interaction | None:
    """Return the user's interaction with this id, or None."""
    body = connection.execute(
        "SELECT CAST(body AS BLOB) FROM interaction INDEXED BY by_id WHERE user_id = ? AND id = ?",
        (user_id, interaction_id),
    ).get
    return None if body is None else interaction_of(orjson.loads(body))


def _statement(query: HistoryQuery) -> tuple[str, dict[str, Value]]:
    plan = _plan(query)
    values: dict[str, Value] = {"wanted": query.limit + 1}
    conditions = [f"{name} = :{name}" for name in plan.equal]
    values |= plan.equal
    is_newest_first = query.order is Order.DESC
    for name, compare, bound in (
        ("from_id", ">=", query.filter.from_id),
        ("to_id", "<", query.filter.to_id),
        ("after_id", "<" if is_newest_first else ">", query.after_id),
    ):
        if bound is not None:
            conditions.append(f"id {compare} :{name}")
            values[name] = bound
    parts = {
        "index": plan.index,
        "range": " AND ".join(conditions),
        "order": "DESC" if is_newest_first else "ASC",
    }
    if not plan.sieve:
        return _STRAIGHT.format(**parts), values
    values["scanned"] = SCANNED_ROWS
    sieve = []
    for name, allowed in plan.sieve.items():
        places = {f"{name}{number}": value for number, value in enumerate(allowed)}
        sieve.append(f"{name} IN ({', '.join(f':{place}' for place in places)})")
        values |= places
    return _SIFTED.format(**parts, sieve=" AND ".join(sieve)), values


def _plan(query: HistoryQuery) -> _Plan:
    wanted = query.filter
    equal: dict[str, Value] = {"user_id": query.user_id}
    sieve: dict[str, Sequence[Value]] = {}
    if wanted.provider is not None:
        sieve["provider"] = [wanted.provider]
    answered = _answered(wanted.statuses)
    if wanted.statuses and len(wanted.statuses) < len(Status):
        sieve["status"] = sorted(wanted.statuses)
    if wanted.conversation_id is not None:
        index = "by_conversation"
        equal["conversation_id"] = wanted.conversation_id
        if wanted.model is not None:
            sieve["model"] = [wanted.model]
    elif wanted.model is not None:
        index = "by_model"
        equal["model"] = wanted.model
    elif answered is not None:
        return _Plan("by_answered", equal | {"answered": answered}, sieve)
    else:
        return _Plan("by_id", equal, sieve)
    if answered is not None:
        sieve["answered"] = [answered]
    return _Plan(index, equal, sieve)


def _answered(statuses: frozenset[Status]) -> int | None:
    """Return the value of `answered` that all rows with these statuses share; None where they differ."""
    if not statuses or statuses <= ANSWERED:
        return 1
    return 0 if statuses <= _UNANSWERED else None
