"""The ways in: `app` for `uvicorn main:app`, and the commands of `python main.py`.

Importing this module reads no setting and opens nothing.
"""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.cli.history_commands import ExportOrder, ImportOrder, Progress
    from app.cli.parser import Verdict
    from domain.entities.checksum import Checksum
    from domain.entities.copy_progress import CopyProgress
    from domain.interfaces.api_key_repository import ApiKeyRepository
    from domain.use_cases.redrive_dead_letters import RedriveResult


def __getattr__(name: str) -> Any:
    """Make the application when a server asks for `app`; importing this module alone makes none."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dependency_injection import application
    from infra.logging.configuration import log_as_configured
    from infra.settings import read_settings

    with _start_told_in_the_log():
        settings = read_settings()
        log_as_configured(settings)
        return application(settings)


def serve() -> int:
    """Serve until a signal to stop; return the exit code."""
    from app.process import garbage_collection as collector

    collector.rest()
    with _start_told_in_the_log():
        from app.process.lifecycle import Lifecycle
        from app.server import serve as serve_http
        from dependency_injection import application, serve_options
        from infra.logging.configuration import log_as_configured
        from infra.settings import read_settings

        settings = read_settings()
        log_as_configured(settings)
        lifecycle = Lifecycle()
        return serve_http(
            application(settings, lifecycle),
            serve_options(settings),
            on_started=collector.settle,
            on_stopping=lifecycle.withdraw_readiness,
            on_grace_over=lifecycle.end_streams,
            exit_code_of=exit_code_of,
        )


def work() -> int:
    """Carry interactions from the queue to the store until a signal to stop; return the exit code."""
    with _start_told_in_the_log():
        from app.process.event_loop import run_event_loop
        from commands import queue
        from infra.logging.configuration import log_as_configured
        from infra.settings import read_settings

        settings = read_settings()
        log_as_configured(settings)
        run_event_loop(queue.work(settings))
    return 0


@contextmanager
def _start_told_in_the_log() -> "Iterator[None]":
    """End the process with one line in its log, and an exit code, if it is not to start."""
    import logging

    from app.cli.parser import EXIT_INTERRUPTED
    from app.process.event_loop import tell_why_it_does_not_start
    from infra.logging.configuration import log_until_settings_are_known

    log_until_settings_are_known()
    try:
        yield
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        tell_why_it_does_not_start(error, code)
        raise SystemExit(code) from None
    except KeyboardInterrupt:
        logging.getLogger("main").info("interrupted")
        raise SystemExit(EXIT_INTERRUPTED) from None


def exit_code_of(error: BaseException) -> int | None:
    """Return the exit code for what kept a process from starting; None for what nobody foresaw."""
    from app.cli.parser import EXIT_CONFIGURATION, EXIT_FAILED
    from app.server import CannotListen
    from infra.configuration import ConfigurationError

    if isinstance(error, ConfigurationError):
        return EXIT_CONFIGURATION
    return EXIT_FAILED if isinstance(error, CannotListen) else None


def redrive(is_dry_run: bool, progress: "Progress") -> "RedriveResult":
    """Put dead letters back on the queue, or only look at them."""
    import asyncio

    from commands import queue
    from infra.settings import read_settings

    return asyncio.run(queue.redrive(read_settings(), is_dry_run=is_dry_run, progress=progress))


def backup(file: Path, overwrite: bool, progress: "Progress") -> int:
    """Copy the embedded store to `file` and return its size in bytes."""
    from commands import history
    from infra.settings import read_settings

    return history.back_up(read_settings(), file, overwrite=overwrite, progress=progress)


def import_history(order: "ImportOrder", progress: "Progress") -> "CopyProgress":
    """Bring a file's interactions into the configured store, or only look whether that can be done."""
    import asyncio

    from commands import history
    from infra.settings import read_settings

    return asyncio.run(history.import_history(read_settings(), order, progress))


def export_history(order: "ExportOrder", progress: "Progress") -> "Checksum":
    """Write the configured store, or one user's part of it, to a file."""
    import asyncio

    from commands import history
    from infra.settings import read_settings

    return asyncio.run(history.export_history(read_settings(), order, progress))


def migrate(source: str, target: str, progress: "Progress") -> "CopyProgress":
    """Copy history from one store to another."""
    import asyncio

    from commands import history
    from infra.settings import read_settings

    return asyncio.run(history.migrate(read_settings(), source, target, progress))


def key_book() -> "ApiKeyRepository":
    """Return where the keys of this installation are made and revoked."""
    from infra.clock import SystemClock
    from infra.security.api_keys.repository import FileApiKeyRepository
    from infra.settings import read_settings

    return FileApiKeyRepository(read_settings().data_dir, SystemClock())


def selftest(report: "Callable[[Verdict], object]") -> "Sequence[Verdict]":
    """Send faults through the real chain; tell each outcome as it comes, and return them all."""
    import asyncio
    import logging

    from infra.selftest.bench import run

    logging.getLogger("infra").setLevel(logging.CRITICAL)  # every alarm in it is a drill
    return asyncio.run(run(report))


def main(arguments: list[str]) -> int:
    """Carry out one command line and return the exit code."""
    from app.cli.history_commands import HistoryCommands
    from app.cli.parser import EXIT_CONFIGURATION, Commands, run
    from infra.configuration import ConfigurationError
    from infra.stores.registry import store_names

    try:
        commands = Commands(
            serve=serve,
            work=work,
            redrive=redrive,
            backup=backup,
            history=HistoryCommands(
                import_=import_history,
                export=export_history,
                migrate=migrate,
                store_names=store_names(),
            ),
            key_book=key_book,
            selftest=selftest,
        )
        return run(arguments, commands)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
