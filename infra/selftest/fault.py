"""What a fault is, and what a healthy answer says."""

from collections.abc import Awaitable, Callable

from infra.selftest.exchange import Exchange

Fault = Callable[[Exchange], Awaitable[None]]

TEXTS = ("All ", "is ", "well.")
WHOLE_TEXT = "".join(TEXTS)
"""What a healthy provider says."""

FIRST_TEXT = TEXTS[0]
"""How far an answer comes that breaks."""


class Faults(dict[str, Fault]):
    """Faults of one kind, by the name they are asked for."""

    def named(self, name: str) -> Callable[[Fault], Fault]:
        """Return a decorator that adds a fault."""

        def keep(fault: Fault) -> Fault:
            self[name] = fault
            return fault

        return keep


async def healthy(exchange: Exchange) -> None:
    """Answers at once."""
    await exchange.answer(*TEXTS)
