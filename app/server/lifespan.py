"""Runs the application's ASGI lifespan and keeps its errors."""

import logging
from typing import cast

from uvicorn._types import LifespanScope
from uvicorn.config import Config
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

_LOGGER = logging.getLogger("app.server")


class StartFailed(Exception):
    """The application did not start; the cause is its exception."""


class Lifespan(LifespanOn):
    """Keeps the exception that uvicorn only logs."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.logger = logging.Logger("uvicorn.lifespan", logging.CRITICAL)
        self._failure: BaseException | None = None

    async def startup(self) -> None:
        """Wait until the application is ready.

        Raises:
            StartFailed: The application failed to start.
        """
        await super().startup()
        if self.should_exit:
            raise StartFailed from self._failure

    async def shutdown(self) -> None:
        """Wait until the application has ended; sets `should_exit` if that failed."""
        await super().shutdown()
        if self.should_exit:
            _LOGGER.error("the application did not end in order", exc_info=self._failure)

    async def main(self) -> None:
        scope: LifespanScope = {
            "type": "lifespan",
            "asgi": {"version": self.config.asgi_version, "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self.config.loaded_app(scope, self.receive, self.send)
        except BaseException as exc:  # noqa: BLE001 - the process ends with any of them
            self._failure = exc
            self.error_occurred = True
        finally:
            self.startup_event.set()
            self.shutdown_event.set()

    async def send(self, message: LifespanSendMessage) -> None:
        # Starlette's message is a traceback as text; `_failure` has the exception.
        await super().send(cast(LifespanSendMessage, {**message, "message": ""}))
