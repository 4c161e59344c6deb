"""Bounds of the numbers in an interaction: every store can hold, sum and return them unchanged."""

from typing import Any

MAX_COUNT = 2**40
"""Maximum token count: far above any context window; the sum of eight million such rows fits into 64 bits."""

MAX_AMOUNT = 1e9
"""Maximum number of seconds (about 31 years) or US dollars."""

MAX_SEED = 2**63
"""Seeds are signed 64-bit integers; this is the first value above them."""


def is_count(value: Any) -> bool:
    """Return whether `value` is a valid token count: a whole number, which some servers send as 12.0."""
    return (type(value) is int or _is_number(value)) and 0 <= value <= MAX_COUNT and value % 1 == 0


def is_amount(value: Any) -> bool:
    """Return whether `value` is a valid number of seconds or US dollars."""
    return (type(value) is float or _is_number(value)) and 0 <= value <= MAX_AMOUNT


def is_seed(value: Any) -> bool:
    """Return whether `value` is a valid seed."""
    return _is_number(value) and isinstance(value, int) and -MAX_SEED <= value < MAX_SEED


def _is_number(value: Any) -> bool:
    # isinstance, since drivers return subclasses of int and float
    return isinstance(value, (int, float)) and not isinstance(value, bool)
