"""What a user's interactions add up to, group by group."""

from dataclasses import dataclass
from enum import StrEnum

from domain.entities.interaction import Status, asked_at

DAY_MILLISECONDS = 86_400_000


class By(StrEnum):
    """What makes a group."""

    DAY = "day"
    MODEL = "model"
    PROVIDER = "provider"


FAILURES = frozenset({Status.FAILED, Status.INTERRUPTED})
"""What counts as a failure: nothing came back. A blocked or cancelled question is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsQuery:
    """One user's figures.

    Attributes:
        user_id: Authorised before the query was made; every store applies it as an equality.
        from_id: Only ids not below this one.
        to_id: Only ids below this one.
    """

    user_id: str
    by: By = By.DAY
    from_id: str | None = None
    to_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The figures of one day, model or provider, over interactions of every status.

    Attributes:
        key: The day (UTC, `2026-11-22`), the model or the provider; None where no provider was reached.
        failures: Those of a status in `FAILURES`.
        input_tokens: The sum of what providers told.
        output_tokens: The same, of what is billed as output.
        cost_usd: The sum of the known costs; None when none is known.
        p50_seconds: The median time to an answer, to the millisecond; None when nothing was answered.
        p95_seconds: What 95 % of the answers did not exceed; between two of them it is interpolated.
    """

    key: str | None
    interactions: int
    failures: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    p50_seconds: float | None
    p95_seconds: float | None


def day_of(interaction_id: str) -> str:
    """Return the day of receipt an id carries, in UTC."""
    return asked_at(interaction_id).date().isoformat()
