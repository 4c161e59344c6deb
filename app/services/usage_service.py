"""Reads the usage of all users on behalf of a caller."""

from dataclasses import dataclass
from datetime import tzinfo

from domain.entities.caller import Caller, Scope
from domain.entities.interaction import LAST_MILLISECOND, first_id_at
from domain.entities.statistics import DAY_MILLISECONDS, Day, first_millisecond_of
from domain.entities.usage.report import UsageQuery, UsageReport
from domain.exceptions import InvalidInput
from domain.interfaces.clock import Clock
from domain.use_cases.usage.summarise_usage import SummariseUsage

USUAL_DAYS = 30
MAX_DAYS = 366

_LAST_END = LAST_MILLISECOND - DAY_MILLISECONDS
"""Later times are in the year 10 000 in some time zones."""


@dataclass(frozen=True, slots=True)
class UsageService:
    """Checks the permission, and limits the range of time, before the store is used."""

    summarise_usage: SummariseUsage
    clock: Clock

    async def read(
        self,
        caller: Caller,
        *,
        from_milliseconds: int | None,
        to_milliseconds: int | None,
        time_zone: tzinfo,
    ) -> UsageReport:
        """Return the usage from one time (inclusive) to another (exclusive), in milliseconds since 1970 UTC.

        Without an end it ends now; without a start it begins with the first midnight of the last 30 days.

        Raises:
            Forbidden: The caller may not read the usage of all users.
            InvalidInput: The range is longer than 366 days.
            HistoryUnreadable: The store cannot be read, or not in time.
        """
        caller.require_over_all_users(Scope.ADMIN_READ)
        end = self.clock.now_milliseconds() + 1 if to_milliseconds is None else to_milliseconds
        end = min(max(end, 1), _LAST_END)
        if from_milliseconds is None:
            last_day = Day.around(end - 1, time_zone).ordinal
            start = max(first_millisecond_of(last_day - USUAL_DAYS + 1, time_zone), 0)
        else:
            start = min(max(from_milliseconds, 0), _LAST_END)
        if end - start > MAX_DAYS * DAY_MILLISECONDS:
            raise InvalidInput("from", f"must be at most {MAX_DAYS} days before `to`")
        return await self.summarise_usage(
            UsageQuery(from_id=first_id_at(start), to_id=first_id_at(end), time_zone=time_zone)
        )
