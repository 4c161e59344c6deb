"""Counting of late, exact to the second."""

from hypothesis import given
from hypothesis import strategies as st

from infra.llm.resilience.failure_window import FailureWindow

CALLS = st.lists(
    st.tuples(st.floats(min_value=0.0, max_value=8.0), st.booleans()), min_size=1, max_size=60
)


@given(CALLS)
def test_the_ratio_is_that_of_the_last_seconds(calls: list[tuple[float, bool]]) -> None:
    window, now, kept = FailureWindow(30.0), 1_000.0, list[tuple[int, bool]]()
    for passed, failed in calls:
        now += passed
        window.add(now, failed=failed)
        kept.append((int(now), failed))
    counted = [failed for second, failed in kept if second >= now - 30.0]
    assert window.failure_ratio(now, 1) == sum(counted) / len(counted)


def test_of_too_few_calls_no_share_is_taken() -> None:
    window = FailureWindow(30.0)
    for _ in range(9):
        window.add(5.0, failed=True)
    assert window.failure_ratio(5.0, 10) == 0.0
    window.add(5.0, failed=False)
    assert window.failure_ratio(5.0, 10) == 0.9


def test_cleared_it_is_empty() -> None:
    window = FailureWindow(30.0)
    window.add(5.0, failed=True)
    window.clear()
    window.add(5.0, failed=False)
    assert window.failure_ratio(5.0, 1) == 0.0
