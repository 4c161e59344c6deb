"""`Retry-After` is a whole number of seconds, never 0: that would ask for a retry at once."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.problems.error_handlers import error_response, whole_retry_seconds
from domain.exceptions import (
    DomainError,
    LLMMisconfigured,
    LLMRateLimited,
    LLMUnavailable,
    NoRoute,
    RateLimited,
)

FRACTIONS = [0.0, -1.0, 1e-9, 0.4, 0.999, 1.0, 1.0000001, 2.5]


@given(st.floats(min_value=-1e9, max_value=1e9))
@pytest.mark.seen("F2")
def test_it_is_rounded_up_and_at_least_one(seconds: float) -> None:
    whole = whole_retry_seconds(seconds)
    assert whole >= 1
    assert whole == 1 or whole - 1 < seconds <= whole


@pytest.mark.parametrize("path", ["/v1/chat", "/v1/chat/completions"])
@pytest.mark.parametrize("seconds", FRACTIONS)
@pytest.mark.parametrize(
    "kind", [NoRoute, LLMRateLimited, LLMUnavailable, LLMMisconfigured, RateLimited]
)
def test_no_answer_says_zero(kind: type[DomainError], seconds: float, path: str) -> None:
    error = kind(seconds) if kind is RateLimited else kind(retry_after_seconds=seconds)  # type: ignore[call-arg]
    scope = {"type": "http", "path": path, "state": {"request_id": "r"}}
    told = int(error_response(error, scope).headers["Retry-After"])
    assert told == max(1, math.ceil(seconds))
