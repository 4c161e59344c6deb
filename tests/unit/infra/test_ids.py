"""Ids sort by time, and never repeat."""

from domain.entities.interaction import first_id_at, milliseconds_of
from domain.interfaces.clock import Clock
from infra.ids import InteractionIds


class SetClock(Clock):
    def __init__(self, milliseconds: int) -> None:
        self.milliseconds = milliseconds

    def now_milliseconds(self) -> int:
        return self.milliseconds

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def test_an_id_carries_the_time_it_was_made() -> None:
    clock = SetClock(1_795_000_000_123)
    new_id = InteractionIds(clock)()
    assert milliseconds_of(new_id) == 1_795_000_000_123
    assert new_id[14] == "7"
    assert new_id[19] in "89ab"


def test_ids_grow_within_a_millisecond_and_when_the_clock_steps_back() -> None:
    clock = SetClock(1_795_000_000_000)
    make = InteractionIds(clock)
    ids = [make() for _ in range(10_000)]
    clock.milliseconds -= 86_400_000
    ids += [make() for _ in range(10_000)]
    clock.milliseconds += 2 * 86_400_000
    ids += [make() for _ in range(100)]
    assert ids == sorted(set(ids))
    assert milliseconds_of(ids[-1]) == clock.milliseconds


def test_the_first_id_of_a_millisecond_is_not_above_any_made_in_it() -> None:
    clock = SetClock(1_795_000_000_000)
    make = InteractionIds(clock)
    assert first_id_at(clock.milliseconds) <= make() < first_id_at(clock.milliseconds + 1)
    assert first_id_at(-5) == first_id_at(0)
    assert milliseconds_of(first_id_at(1 << 60)) == (1 << 48) - 1
