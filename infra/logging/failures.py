"""Exceptions as log fields, without data of callers or providers."""

import traceback
from collections.abc import Iterator

from domain.exceptions import DomainError
from infra.configuration import ConfigurationError

_QUOTED = (DomainError, ConfigurationError)
"""Exceptions whose messages contain no secrets and no text of a caller or provider."""
_MOST_FRAMES = 40
_MOST_LINKS = 8


def describe(error: BaseException) -> dict[str, str]:
    """Return the ECS fields of `error`: its type and its stack trace, with those of its causes.

    Only messages of our own exceptions are included: a driver's message may contain a secret, a prompt or a
    provider's text. Variables are not included.
    """
    described = {"type": name_of(error), "stack_trace": "".join(_stack_trace(error, _MOST_LINKS))}
    if isinstance(error, _QUOTED):
        described["message"] = str(error)
    return described


def name_of(error: BaseException) -> str:
    """Return the class of the exception with its module."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _stack_trace(error: BaseException, links_left: int) -> Iterator[str]:
    before = error.__cause__
    if before is None and not error.__suppress_context__:
        before = error.__context__
    if before is not None:
        if links_left:
            yield from _stack_trace(before, links_left - 1)
        yield "\nwhich led to:\n\n"
    yield from traceback.format_tb(error.__traceback__, limit=-_MOST_FRAMES)
    yield (f"{name_of(error)}: {error}\n" if isinstance(error, _QUOTED) else f"{name_of(error)}\n")
    if isinstance(error, BaseExceptionGroup) and links_left:
        for number, member in enumerate(error.exceptions[:_MOST_LINKS], start=1):
            yield f"\nof which {number} of {len(error.exceptions)}:\n\n"
            yield from _stack_trace(member, links_left - 1)
