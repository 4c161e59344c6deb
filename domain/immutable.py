"""Dataclasses whose instances do not change, which mypy checks rather than the running program.

A frozen dataclass stores each field of a new instance through a call of `object.__setattr__`, which makes creating one
of 26 fields take 2.8 times as long. Classes with this decorator are those that every chat creates, with a hundred fields
together: freezing them took 4 % of its byte code instructions (Python 3.11; `python -m bench.instructions`).
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def immutable(cls: type[T]) -> type[T]:
    """Return `cls` as a dataclass with slots and keyword arguments; assigning to a field is an error of mypy."""
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)
