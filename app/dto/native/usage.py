"""Query parameters and response body of the usage route."""

from datetime import UTC, tzinfo
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field

from app.dto.native.statistics import COST_DECIMALS, TimeZoneName
from app.dto.wire import Dto, Time, format_time
from domain.entities.interaction import asked_at
from domain.entities.usage.report import UsageFigures, UsageReport


class UsageParameters(Dto):
    """The query of GET /v1/usage."""

    model_config = ConfigDict(hide_input_in_errors=True)

    from_: Time | None = Field(
        default=None,
        alias="from",
        description="Not before this time (RFC 3339), at most 366 days before `to`; by default the midnight with which the last 30 days begin.",
    )
    to: Time | None = Field(
        default=None, description="Before this time (RFC 3339); by default now."
    )
    time_zone: TimeZoneName = Field(
        default="UTC",
        description="IANA name of the time zone in which days begin at midnight. A day on which clocks change has 23 or 25 hours.",
        examples=["America/Sao_Paulo"],
    )

    @property
    def zone(self) -> tzinfo:
        """The time zone."""
        return UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone)


class FiguresDto(Dto):
    """Sums over interactions of every status."""

    interactions: int = Field(description="Number of interactions of every status.", examples=[42])
    failures: int = Field(
        description="Number of interactions that `failed` or were `interrupted`.", examples=[1]
    )
    input_tokens: int = Field(
        description="Sum of the input tokens that providers reported.", examples=[630]
    )
    output_tokens: int = Field(
        description="Sum of the tokens that providers reported as billed output.", examples=[3066]
    )
    reasoning_tokens: int = Field(
        description="Sum of the reasoning tokens among the output tokens.", examples=[512]
    )
    cached_input_tokens: int = Field(
        description="Sum of the part of `inputTokens` that providers read from their caches.",
        examples=[512],
    )
    cache_write_tokens: int = Field(
        description="Sum of the part of `inputTokens` that providers wrote to their caches.",
        examples=[64],
    )
    cost_usd: float | None = Field(
        description="Sum of the known costs in US dollars; null when none is known.",
        examples=[0.00504],
    )

    @staticmethod
    def values_of(figures: UsageFigures) -> dict[str, int | float | None]:
        """Return the fields for `figures`."""
        cost_usd = figures.cost_usd
        return {
            "interactions": figures.interactions,
            "failures": figures.failures,
            "input_tokens": figures.input_tokens,
            "output_tokens": figures.output_tokens,
            "reasoning_tokens": figures.reasoning_tokens,
            "cached_input_tokens": figures.cached_input_tokens,
            "cache_write_tokens": figures.cache_write_tokens,
            "cost_usd": None if cost_usd is None else round(cost_usd, COST_DECIMALS),
        }


class UsageGroupDto(FiguresDto):
    """Sums of one day, model or credential."""

    key: str | None = Field(
        description="The day, the model, or what requests were made with: the id of an API key, `token` for tokens of the "
        "OIDC issuer, `anonymous` without authentication; null for interactions of earlier versions, which did not record it.",
        examples=["k3j5h2m9x0ab"],
    )

    @classmethod
    def from_group(cls, key: str | None, figures: UsageFigures) -> Self:
        """Return the response object for the figures of `key`."""
        return cls.model_validate({"key": key, **cls.values_of(figures)})


class UsageDto(Dto):
    """The usage of all users in a range of time; each list adds up to `total`."""

    from_: str = Field(
        alias="from",
        description="Start of the range, inclusive.",
        examples=["2026-11-01T00:00:00.000Z"],
    )
    to: str = Field(
        description="End of the range, exclusive.", examples=["2026-12-01T00:00:00.000Z"]
    )
    time_zone: str = Field(
        description="Time zone in which days begin at midnight.", examples=["UTC"]
    )
    total: FiguresDto = Field(description="Sums over the whole range.")
    by_day: list[UsageGroupDto] = Field(
        description="Days with interactions, in order; the first and the last may be parts of days."
    )
    by_model: list[UsageGroupDto] = Field(description="Sorted by key.")
    by_key: list[UsageGroupDto] = Field(description="Sorted by key, null last.")

    @classmethod
    def from_report(cls, report: UsageReport, time_zone: str) -> Self:
        """Return the response body for `report`."""
        return cls.model_validate(
            {
                "from": format_time(asked_at(report.query.from_id)),
                "to": format_time(asked_at(report.query.to_id)),
                "time_zone": time_zone,
                "total": FiguresDto.values_of(report.total),
                "by_day": [UsageGroupDto.from_group(*group) for group in report.by_day],
                "by_model": [UsageGroupDto.from_group(*group) for group in report.by_model],
                "by_key": [UsageGroupDto.from_group(*group) for group in report.by_credential],
            }
        )
