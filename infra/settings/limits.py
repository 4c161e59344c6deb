"""Settings of the limits of chats and callers."""

from typing import Self

from pydantic import Field, model_validator

from infra.settings.group import CENTURY_SECONDS, Count, PositiveSeconds, Seconds
from infra.settings.process import ProcessSettings


class LimitSettings(ProcessSettings):
    """How long a chat may take, how many there may be, and how long idempotency keys are stored."""

    title = "Limits"

    request_timeout_seconds: float = Field(
        default=60.0,
        ge=3.0,
        le=CENTURY_SECONDS,
        description="Total time of a plain chat; for a stream, the time to its first token.",
    )
    stream_total_seconds: PositiveSeconds = Field(
        default=600.0, description="Total time of a streamed chat."
    )
    accept_reserve_seconds: Seconds = Field(
        default=1.0, description="Part of a request's time that is reserved for storing the answer."
    )
    max_concurrent_chats: Count = Field(
        default=1000, description="Concurrent chats; further ones get 503."
    )
    caller_requests_per_minute: Count = Field(
        default=600,
        description="Requests a minute of one key or user; further ones get 429.",
    )
    caller_concurrent_requests: Count = Field(
        default=50,
        description="Concurrent requests of one key or user, and as many background answers at a time, in one process; further ones get 429.",
    )
    caller_readers: Count = Field(
        default=500,
        description="Readers of background answers of one key or user, in one process; further ones count as concurrent requests.",
    )
    caller_daily_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Tokens a day (UTC) of one key or user; further chats get 429.",
    )
    limits_shared: bool = Field(
        default=True,
        description="With MONGO_URI or DYNAMODB_TABLE, counts requests a minute and tokens a day across all processes and hosts that share the store; otherwise each process counts its own.",
    )
    limits_wait_seconds: PositiveSeconds = Field(
        default=0.25,
        description="Longest wait of a request for the counters of LIMITS_SHARED; after it the process applies the limits to its own requests for 2 s.",
    )
    idempotency_keep_seconds: float = Field(
        default=86_400.0,
        ge=60.0,
        le=CENTURY_SECONDS,
        description="Time for which an Idempotency-Key is stored.",
    )
    idempotency_lease_seconds: Seconds = Field(
        default=10.0,
        description="Time after its deadline at which an unfinished request with a key counts as dead.",
    )

    @model_validator(mode="after")
    def _leave_time_to_call(self) -> Self:
        if self.accept_reserve_seconds >= self.request_timeout_seconds:
            raise ValueError("ACCEPT_RESERVE_SECONDS: should be less than REQUEST_TIMEOUT_SECONDS")
        return self
