"""Dataclasses whose instances mypy keeps unchanged."""

from dataclasses import dataclass, replace

from domain.immutable import immutable


@immutable
class Point:
    x: int
    y: int = 0


@dataclass(frozen=True)
class Frozen:
    x: int


def test_instances_are_equal_hashed_and_replaced_by_their_fields() -> None:
    assert Point(x=1) == Point(x=1, y=0)
    assert {Point(x=1), Point(x=1)} == {Point(x=1)}
    assert replace(Point(x=1), y=2) == Point(x=1, y=2)
    assert not hasattr(Point(x=1), "__dict__")


def test_frozen_dataclasses_still_store_fields_through_a_call() -> None:
    """If this fails, frozen dataclasses may cost no more, and `immutable` can be one: measure a chat again."""
    assert "__setattr__" in Frozen.__init__.__code__.co_names
    assert "__setattr__" not in Point.__init__.__code__.co_names
