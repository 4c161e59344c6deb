"""Which numbers an interaction may carry: those that every store keeps, adds up and gives back unchanged."""

from typing import Any

MAX_COUNT = 2**40
"""Of tokens: far above any model's window, and eight million such rows still add up within 64 bits."""

MAX_AMOUNT = 1e9
"""Of seconds and US dollars: thirty years, and more than anyone pays for an answer."""

MAX_SEED = 2**63
"""Seeds are whole numbers of 64 bits with a sign."""


def is_count(value: Any) -> bool:
    """Return whether `value` is a number of tokens."""
    return _is_number(value) and 0 <= value <= MAX_COUNT


def is_amount(value: Any) -> bool:
    """Return whether `value` is a number of seconds or US dollars."""
    return _is_number(value) and 0 <= value <= MAX_AMOUNT


def is_seed(value: Any) -> bool:
    """Return whether `value` is a seed."""
    return _is_number(value) and isinstance(value, int) and -MAX_SEED <= value < MAX_SEED


def _is_number(value: Any) -> bool:
    # not by the exact type: drivers have classes of their own for numbers
    return isinstance(value, (int, float)) and not isinstance(value, bool)
