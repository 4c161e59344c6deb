"""The type of faults, and the text of a healthy answer."""

from collections.abc import Awaitable, Callable

from infra.selftest.exchange import Exchange

Fault = Callable[[Exchange], Awaitable[None]]

TEXTS = ("All ", "is ", "well.")
WHOLE_TEXT = "".join(TEXTS)
"""Complete text of a healthy answer."""

FIRST_TEXT = TEXTS[0]
"""Text of an answer that breaks off."""


class Faults(dict[str, Fault]):
    """Faults of one kind, by name."""

    def named(self, name: str) -> Callable[[Fault], Fault]:
        """Return a decorator that registers a fault."""

        def register(fault: Fault) -> Fault:
            self[name] = fault
            return fault

        return register


async def healthy(exchange: Exchange) -> None:
    """Answers at once."""
    await exchange.answer(*TEXTS)
