"""What a user's interactions add up to, as callers see it."""

import re
from collections.abc import Sequence
from datetime import UTC
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, ConfigDict, Field

from app.dto.wire import Dto, Time, id_range
from domain.entities.statistics import Group, GroupBy, StatisticsQuery

_COST_DECIMALS = 9
_ZONE_NAME = re.compile(
    r"(?!posix/|right/|localtime$|posixrules$)[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}"
)
"""Names of the IANA database; those excluded are files of the operating system that stand beside it."""


def _known_zone(name: str) -> str:
    try:
        if _ZONE_NAME.fullmatch(name):
            ZoneInfo(name)
            return name
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise ValueError("must be the IANA name of a time zone such as America/Sao_Paulo")


TimeZoneName = Annotated[str, Field(max_length=64), AfterValidator(_known_zone)]


class StatisticsParameters(Dto):
    """The query of GET /v1/history/{userId}/stats."""

    model_config = ConfigDict(hide_input_in_errors=True)

    by: GroupBy = Field(
        default=GroupBy.DAY,
        description="What makes a group: a day (of `timeZone`), who answered, or its provider.",
    )
    from_: Time | None = Field(
        default=None, alias="from", description="Not before this time (RFC 3339)."
    )
    to: Time | None = Field(default=None, description="Before this time (RFC 3339).")

    time_zone: TimeZoneName = Field(
        default="UTC",
        description="Whose midnights separate the days: the IANA name of a time zone. Where clocks are changed, a day has 23 or 25 hours.",
        examples=["America/Sao_Paulo"],
    )

    def to_query(self, user_id: str) -> StatisticsQuery:
        """Return the same question in the domain's words."""
        from_id, to_id = id_range(self.from_, self.to)
        return StatisticsQuery(
            user_id=user_id,
            by=self.by,
            from_id=from_id,
            to_id=to_id,
            time_zone=UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone),
        )


class LatencyDto(Dto):
    """How long answers took, those of the group that came."""

    p50: float | None = Field(
        description="The median, to the millisecond; null when nothing was answered.",
        examples=[1.234],
    )
    p95: float | None = Field(description="95 % took no longer.", examples=[4.321])


class GroupDto(Dto):
    """The figures of one day, model or provider, whatever became of its interactions."""

    key: str | None = Field(
        description="The day, the model or the provider; null where no provider was reached.",
        examples=["2026-11-22"],
    )
    interactions: int = Field(description="How many there are, of every status.", examples=[42])
    failures: int = Field(description="Those `failed` or `interrupted`.", examples=[1])
    input_tokens: int = Field(description="The sum of what providers told.", examples=[630])
    output_tokens: int = Field(
        description="The same, of what is billed as output.", examples=[3066]
    )
    cost_usd: float | None = Field(
        description="US dollars: the sum of the known costs; null when none is known.",
        examples=[0.00504],
    )
    latency_seconds: LatencyDto = Field(description="`llmResponseSeconds` of those with an answer.")

    @classmethod
    def of(cls, group: Group) -> Self:
        """Return the same figures in the wire's words."""
        cost_usd = group.cost_usd
        return cls(
            key=group.key,
            interactions=group.interactions,
            failures=group.failures,
            input_tokens=group.input_tokens,
            output_tokens=group.output_tokens,
            cost_usd=None if cost_usd is None else round(cost_usd, _COST_DECIMALS),
            latency_seconds=LatencyDto(
                p50=_rounded(group.p50_seconds), p95=_rounded(group.p95_seconds)
            ),
        )


class Statistics(Dto):
    """A user's figures."""

    groups: list[GroupDto] = Field(
        description="By key, the one without a key last; empty for an unknown user."
    )

    @classmethod
    def of(cls, groups: Sequence[Group]) -> Self:
        """Return the same figures in the wire's words."""
        return cls(groups=[GroupDto.of(group) for group in groups])


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
