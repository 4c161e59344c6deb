"""How long things take: as shipped, and scaled so that a test need not wait."""

from dataclasses import dataclass, fields
from typing import Any

from infra.settings import Settings


def _shipped(name: str) -> Any:
    return Settings.model_fields[name].default


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The settings that are times; each has the name and the default of the setting."""

    request_timeout_seconds: float = _shipped("request_timeout_seconds")
    stream_total_seconds: float = _shipped("stream_total_seconds")
    first_token_seconds: float = _shipped("first_token_seconds")
    idle_seconds: float = _shipped("idle_seconds")
    min_attempt_seconds: float = _shipped("min_attempt_seconds")
    retry_base_seconds: float = _shipped("retry_base_seconds")
    breaker_open_seconds: float = _shipped("breaker_open_seconds")
    breaker_open_cap_seconds: float = _shipped("breaker_open_cap_seconds")

    def environment(self) -> dict[str, str]:
        """What the service has to be told of it."""
        return {
            one.name.upper(): str(value)
            for one in fields(self)
            if (value := getattr(self, one.name)) != one.default
        }

    def __str__(self) -> str:
        return "scaled" if self.environment() else "shipped"


SHIPPED = Pace()
SCALED = Pace(
    request_timeout_seconds=4.0,
    stream_total_seconds=3.0,
    first_token_seconds=1.0,
    idle_seconds=0.8,
    min_attempt_seconds=0.4,
    retry_base_seconds=0.02,
    breaker_open_seconds=0.5,
    breaker_open_cap_seconds=0.75,
)
