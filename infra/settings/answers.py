"""Settings of background answers."""

from typing import Self

from pydantic import Field, model_validator

from infra.settings.group import Count, PositiveSeconds
from infra.settings.history import HistorySettings


class AnswerSettings(HistorySettings):
    """Time limits of background answers, and the retention of their events. Their logs are where interactions are accepted."""

    title = "Background answers"

    background_seconds: PositiveSeconds = Field(
        default=3600.0, description="Time limit of a background answer, including all takeovers."
    )
    max_background_answers: Count = Field(
        default=100,
        description="Concurrent background answers of a process; with more, new ones get 503.",
    )
    answer_lease_seconds: PositiveSeconds = Field(
        default=10.0,
        description="Time without renewal after which another process takes over a background answer.",
    )
    answer_lease_renewal_seconds: PositiveSeconds = Field(
        default=3.0,
        description="Time between two renewals of the leases of a process's background answers.",
    )
    max_answer_takeovers: Count = Field(
        default=3,
        description="Maximum number of takeovers of a background answer from dead processes; after that it ends with the text so far.",
    )
    answer_events_keep_seconds: PositiveSeconds = Field(
        default=86_400.0,
        description="Time for which the events of a background answer can be read after its end.",
    )

    @model_validator(mode="after")
    def _renews_in_time(self) -> Self:
        if self.answer_lease_renewal_seconds * _RENEWALS > self.answer_lease_seconds:
            raise ValueError(
                "ANSWER_LEASE_RENEWAL_SECONDS: should be at most a third of ANSWER_LEASE_SECONDS"
            )
        return self


_RENEWALS = 3
"""Within a lease: one that fails may be tried again."""
