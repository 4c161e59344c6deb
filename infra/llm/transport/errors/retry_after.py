"""Parses the delay that a provider requests."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)
_LONGEST_SECONDS = 86_400.0


def retry_after_seconds(headers: Mapping[str, str], retry_delay: object = None) -> float | None:
    """Return the delay of a refusal, at most a day; None without a valid one.

    Args:
        headers: `retry-after-ms` as OpenAI sends it, or `Retry-After` in seconds or as a date. A date is compared
            with the answer's own `Date`, so that our clock need not agree with the provider's.
        retry_delay: Gemini's `RetryInfo.retryDelay`, a duration such as `45.837906927s`; it sends no header.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    header = headers.get("Retry-After", "").strip()
    seconds = _number(header)
    if seconds is None:
        seconds = _until(header, headers.get("Date", ""))
    if seconds is None and isinstance(retry_delay, str) and retry_delay.endswith("s"):
        seconds = _number(retry_delay[:-1])
    return None if seconds is None else _bounded(seconds)


def _number(text: str) -> float | None:
    return float(text) if _SECONDS.fullmatch(text.strip()) else None


def _until(date: str, sent_at: str) -> float | None:
    at = _moment(date)
    if at is None:
        return None
    seconds = (at - (_moment(sent_at) or datetime.now(UTC))).total_seconds()
    return seconds if seconds > 0 else None


def _moment(date: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _bounded(seconds: float) -> float:
    return min(seconds, _LONGEST_SECONDS)
