"""A server as a process of its own: `python -m …process '{"port": 0, …}' healthy`."""

import json
import logging
import sys

from app.server import ServeOptions, serve
from infra.logging.configuration import configure_logging
from tests.http.server_fixtures.application import Application


class WrongSetting(Exception):
    """Stands for what an operator has to change."""


def configuration() -> None:
    """Fail as an operator can mend it."""
    raise WrongSetting("SETTING has to be something else")


def bug() -> None:
    """Fail as nobody foresaw."""
    raise ValueError("nobody foresaw this")


def slow() -> None:
    """Wait for a line before going on."""
    logging.getLogger("tests").info("starting")
    sys.stdin.readline()


APPLICATIONS = {
    "healthy": Application(),
    "configuration": Application(start=configuration),
    "bug": Application(start=bug),
    "bad end": Application(end=bug),
    "slow start": Application(start=slow),
}


def main() -> int:
    """Serve, and return the exit code."""
    configure_logging("info", service_name="test", version="0", environment="development")
    application = APPLICATIONS[sys.argv[2]]
    return serve(
        application,
        ServeOptions(**json.loads(sys.argv[1])),
        on_stopping=application.stop_being_ready,
        on_grace_over=application.streams_end.set,
        exit_code_of=lambda error: 78 if isinstance(error, WrongSetting) else None,
    )


if __name__ == "__main__":
    sys.exit(main())
