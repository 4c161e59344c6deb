"""Query parameters and response bodies of the statistics route."""

import re
from collections.abc import Sequence
from datetime import UTC
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, ConfigDict, Field

from app.dto.wire import Dto, Time, id_range
from domain.entities.statistics import Group, GroupBy, StatisticsQuery

COST_DECIMALS = 9
_ZONE_NAME = re.compile(
    r"(?!posix/|right/|localtime$|posixrules$)[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}"
)
"""Matches IANA time zone names; excludes other files that operating systems keep in the same directory."""


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
        description="What to group by: day (in `timeZone`), model or provider.",
    )
    from_: Time | None = Field(
        default=None, alias="from", description="Not before this time (RFC 3339)."
    )
    to: Time | None = Field(default=None, description="Before this time (RFC 3339).")

    time_zone: TimeZoneName = Field(
        default="UTC",
        description="IANA name of the time zone in which days begin at midnight. A day on which clocks change has 23 or 25 hours.",
        examples=["America/Sao_Paulo"],
    )

    def to_query(self, user_id: str) -> StatisticsQuery:
        """Return the domain query of `user_id` with these parameters."""
        from_id, to_id = id_range(self.from_, self.to)
        return StatisticsQuery(
            user_id=user_id,
            by=self.by,
            from_id=from_id,
            to_id=to_id,
            time_zone=UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone),
        )


class LatencyDto(Dto):
    """Percentiles of the response times in a group, in seconds."""

    p50: float | None = Field(
        description="Median, rounded to milliseconds; null when the group has no answer.",
        examples=[1.234],
    )
    p95: float | None = Field(description="95th percentile, likewise.", examples=[4.321])


class GroupDto(Dto):
    """Statistics of one day, model or provider, over interactions of every status."""

    key: str | None = Field(
        description="The day, the model or the provider; null when no provider was reached.",
        examples=["2026-11-22"],
    )
    interactions: int = Field(description="Number of interactions of every status.", examples=[42])
    failures: int = Field(
        description="Number of interactions that `failed` or were `interrupted`.", examples=[1]
    )
    input_tokens: int = Field(
        description="Sum of the input tokens that providers reported.", examples=[630]
    )
    cached_input_tokens: int = Field(
        description="Sum of the part of `inputTokens` that providers read from their caches.",
        examples=[512],
    )
    cache_write_tokens: int = Field(
        description="Sum of the part of `inputTokens` that providers wrote to their caches.",
        examples=[64],
    )
    output_tokens: int = Field(
        description="Sum of the tokens that providers reported as billed output.", examples=[3066]
    )
    cost_usd: float | None = Field(
        description="Sum of the known costs in US dollars; null when none is known.",
        examples=[0.00504],
    )
    latency_seconds: LatencyDto = Field(
        description="`llmResponseSeconds` of the interactions with an answer."
    )

    @classmethod
    def from_group(cls, group: Group) -> Self:
        """Return the response object for `group`."""
        cost_usd = group.cost_usd
        return cls(
            key=group.key,
            interactions=group.interactions,
            failures=group.failures,
            input_tokens=group.input_tokens,
            cached_input_tokens=group.cached_input_tokens,
            cache_write_tokens=group.cache_write_tokens,
            output_tokens=group.output_tokens,
            cost_usd=None if cost_usd is None else round(cost_usd, COST_DECIMALS),
            latency_seconds=LatencyDto(
                p50=_rounded(group.p50_seconds), p95=_rounded(group.p95_seconds)
            ),
        )


class Statistics(Dto):
    """A user's statistics."""

    groups: list[GroupDto] = Field(
        description="Sorted by key, null last; empty for an unknown user."
    )

    @classmethod
    def from_groups(cls, groups: Sequence[Group]) -> Self:
        """Return the response body for `groups`."""
        return cls(groups=[GroupDto.from_group(group) for group in groups])


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
