"""Numbers that no store has to refuse, and ids that can be shown."""

import math
from typing import Any

import pytest

from domain.entities.bounds import MAX_AMOUNT, MAX_COUNT
from domain.entities.interaction import LAST_MILLISECOND, is_interaction_id
from domain.entities.reply import Usage
from infra.history.store.retention import Retention
from tests.fakes.interactions import an_id


@pytest.mark.seen("D1")
@pytest.mark.parametrize("value", [1e200, -1.0, math.inf, math.nan, 2**200, True, MAX_AMOUNT * 2])
def test_a_cost_out_of_all_bounds_is_no_cost(value: Any) -> None:
    assert Usage(input_tokens=7, cost_usd=value) == Usage(input_tokens=7)


@pytest.mark.seen("D1")
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "reasoning_tokens", "total_tokens", "cached_input_tokens", "cache_write_tokens"])  # fmt: skip
@pytest.mark.parametrize("value", [2**63, -1, 1e300, math.nan, False, MAX_COUNT + 1, 7.5, 2.8e-171])
def test_a_count_out_of_all_bounds_is_no_count(name: str, value: Any) -> None:
    assert Usage(cost_usd=0.5, **{name: value}) == Usage(cost_usd=0.5)


def test_numbers_at_their_bounds_are_kept() -> None:
    usage = Usage(input_tokens=0, output_tokens=MAX_COUNT, total_tokens=12.0, cost_usd=MAX_AMOUNT)  # type: ignore[arg-type] - as some servers write 12
    assert (usage.input_tokens, usage.output_tokens, usage.cost_usd) == (0, MAX_COUNT, MAX_AMOUNT)
    assert usage.total_tokens == 12


@pytest.mark.seen("D3")
@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        (an_id(), True),
        (an_id(milliseconds=LAST_MILLISECOND), True),
        (an_id(milliseconds=LAST_MILLISECOND + 1), False),
        ("ffffffff-ffff-7fff-bfff-ffffffffffff", False),
        (an_id().upper(), False),
        (an_id() + "\n", False),
        (an_id().replace("-7", "-4", 1), False),
        (an_id()[:-1] + "\u0660", False),
        ("", False),
        (None, False),
        ([], False),
    ],
)
def test_an_id_is_a_uuid_7_whose_time_can_be_written(value: object, is_one: bool) -> None:
    assert is_interaction_id(value) is is_one


@pytest.mark.seen("D3")
@pytest.mark.parametrize("days", [1.0, 1e9])
def test_what_would_expire_after_the_year_9999_expires_at_its_end(days: float) -> None:
    assert Retention(days).expires_milliseconds(an_id(milliseconds=LAST_MILLISECOND)) == (
        LAST_MILLISECOND
    )
