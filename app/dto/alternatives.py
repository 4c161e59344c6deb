"""Fields that have one of several types."""

from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidatorFunctionWrapHandler, WrapValidator


def by_shape(type_of: Callable[[Any], Any]) -> WrapValidator:
    """Return a validator for a union that validates a value only as the type that its shape indicates.

    A union alone reports the errors of all its types, each below the name of the type, as if that were a field.

    Args:
        type_of: Returns one of the types of the union for a value; None leaves the value to the union. It is not called
            for None.
    """

    def validate(value: Any, union: ValidatorFunctionWrapHandler) -> Any:
        kind = None if value is None else type_of(value)
        return union(value) if kind is None else _adapter(kind).validate_python(value)

    return WrapValidator(validate)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
