"""The slot that a request takes among the concurrent requests of its caller."""

from collections.abc import Callable

from starlette.types import Scope

_STATE = "count_as_reader"


def set_count_as_reader(scope: Scope, count: Callable[[], None]) -> None:
    """Set the function that `count_as_reader` calls for this request."""
    scope["state"][_STATE] = count


def count_as_reader(scope: Scope) -> None:
    """Count the request among the readers of its caller instead of the concurrent requests; once per request.

    A request without a limit is not counted.
    """
    count: Callable[[], None] | None = scope["state"].get(_STATE)
    if count is not None:
        count()
