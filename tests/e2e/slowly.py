"""A provider that goes on when it is told to, so that a test sees what is there before the end."""

import threading

from infra.selftest.exchange import Exchange
from infra.selftest.fault import TEXTS

DEFAULT = "healthy"
"""What the provider calls the catalogue's default model."""


class Slowly:
    """Says its first word, and the others when it is told to."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()

    async def __call__(self, exchange: Exchange) -> None:
        first, *others = TEXTS
        await exchange.begin()
        await exchange.text(first)
        while not self.may_go_on.is_set():
            if await exchange.hangs_up_within(0.01):
                return
        for text in others:
            await exchange.text(text)
        await exchange.finish()
