"""An exception as a log may show it."""

import traceback
from collections.abc import Iterator

from domain.exceptions import DomainError
from infra.configuration import ConfigurationError

_QUOTED = (DomainError, ConfigurationError)
"""Their texts hold nothing of a caller, a provider or a secret."""
_MOST_FRAMES = 40
_MOST_LINKS = 8


def describe(error: BaseException) -> dict[str, str]:
    """Return ECS's `error` fields: what it was and where it came from, with its causes.

    Only our own exceptions are quoted: a driver's message may hold a secret, a prompt or a provider's text.
    Variables are never shown.
    """
    described = {"type": name_of(error), "stack_trace": "".join(_told(error, _MOST_LINKS))}
    if isinstance(error, _QUOTED):
        described["message"] = str(error)
    return described


def name_of(error: BaseException) -> str:
    """Return the exception's class with its module."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _told(error: BaseException, links_left: int) -> Iterator[str]:
    before = error.__cause__
    if before is None and not error.__suppress_context__:
        before = error.__context__
    if before is not None:
        if links_left:
            yield from _told(before, links_left - 1)
        yield "\nwhich led to:\n\n"
    yield from traceback.format_tb(error.__traceback__, limit=-_MOST_FRAMES)
    yield (f"{name_of(error)}: {error}\n" if isinstance(error, _QUOTED) else f"{name_of(error)}\n")
    if isinstance(error, BaseExceptionGroup) and links_left:
        for number, member in enumerate(error.exceptions[:_MOST_LINKS], start=1):
            yield f"\nof which {number} of {len(error.exceptions)}:\n\n"
            yield from _told(member, links_left - 1)
