"""Entry points: `app` for `uvicorn main:app`, and the commands of `python main.py`.

Importing this module reads no settings and opens nothing.
"""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.cli.history_commands import ExportOptions, ImportOptions, Progress
    from app.cli.parser import BackupResult, FaultResult
    from app.server import SharedSockets
    from domain.entities.checksum import Checksum
    from domain.entities.copy_progress import CopyProgress
    from domain.interfaces.api_key_repository import ApiKeyRepository
    from domain.use_cases.redrive_dead_letters import RedriveResult
    from infra.settings import Settings


def __getattr__(name: str) -> Any:
    """Create the application on first access to `app`, so that importing this module does not."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dependency_injection import application
    from infra.logging.configuration import log_as_configured
    from infra.settings import read_settings

    with _log_start_failures():
        settings = read_settings()
        log_as_configured(settings)
        return application(settings)


def serve() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    from app.process import garbage_collection
    from app.process.memory import return_large_blocks

    garbage_collection.pause()
    return_large_blocks()
    with _log_start_failures():
        from commands.serving import process_count, serve_in_processes
        from infra.logging.configuration import log_as_configured
        from infra.settings import read_settings

        settings = read_settings()
        log_as_configured(settings)
        count = process_count(settings)
        if count == 1:
            return _serve_here(settings)
        from dependency_injection import serve_options

        return serve_in_processes(settings, serve_options(settings), count, _serve_here)


def _serve_here(
    settings: "Settings",
    shared: "SharedSockets | None" = None,
    on_serving: "Callable[[], None]" = lambda: None,
) -> int:
    """Serve in this process, on sockets of its own or on shared ones; `on_serving` is called when it does."""
    from app.process import garbage_collection
    from app.process.lifecycle import Lifecycle
    from app.server import serve as serve_http
    from commands.start_message import StartMessage
    from dependency_injection import application, serve_options

    def on_started() -> None:
        garbage_collection.freeze_and_resume()
        on_serving()

    lifecycle = Lifecycle()
    start_message = StartMessage(settings)
    return serve_http(
        application(settings, lifecycle, start_message.note_catalogue),
        serve_options(settings),
        shared=shared,
        on_started=on_started,
        on_listening=start_message.show,
        on_stopping=lifecycle.begin_to_stop,
        on_grace_over=lifecycle.end_streams,
        exit_code_of=exit_code_of,
    )


def work() -> int:
    """Move interactions from the queue to the store until SIGTERM or SIGINT; return the exit code."""
    with _log_start_failures():
        from app.process.event_loop import run_event_loop
        from commands import queue
        from infra.logging.configuration import log_as_configured
        from infra.settings import read_settings

        settings = read_settings()
        log_as_configured(settings)
        run_event_loop(queue.work(settings))
    return 0


@contextmanager
def _log_start_failures() -> "Iterator[None]":
    """End the process with one log line and an exit code if it cannot start."""
    import logging

    from app.cli.parser import EXIT_INTERRUPTED
    from app.process.event_loop import log_start_failure
    from infra.logging.configuration import log_until_settings_are_known

    log_until_settings_are_known()
    try:
        yield
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        log_start_failure(error, code)
        raise SystemExit(code) from None
    except KeyboardInterrupt:
        logging.getLogger("main").info("interrupted")
        raise SystemExit(EXIT_INTERRUPTED) from None


def exit_code_of(error: BaseException) -> int | None:
    """Return the exit code for an expected error at the start; None for an unexpected one."""
    from app.cli.parser import EXIT_CONFIGURATION, EXIT_FAILED
    from app.server import CannotListen
    from infra.configuration import ConfigurationError

    if isinstance(error, ConfigurationError):
        return EXIT_CONFIGURATION
    return EXIT_FAILED if isinstance(error, CannotListen) else None


def redrive(is_dry_run: bool, progress: "Progress") -> "RedriveResult":
    """Return dead letters to the queue, or only count them."""
    import asyncio

    from commands import queue
    from infra.settings import read_settings

    return asyncio.run(queue.redrive(read_settings(), is_dry_run=is_dry_run, progress=progress))


def backup(
    file: Path,
    overwrite: bool,
    progress: "Progress",
    attachments_progress: "Callable[[int], None]",
) -> "BackupResult":
    """Copy the embedded store to `file`, and its attachments to a folder next to it."""
    from commands import history
    from infra.settings import read_settings

    return history.back_up(
        read_settings(),
        file,
        overwrite=overwrite,
        progress=progress,
        attachments_progress=attachments_progress,
    )


def import_history(options: "ImportOptions", progress: "Progress") -> "CopyProgress":
    """Import the interactions of a file into the configured store, or only check the file."""
    import asyncio

    from commands import history
    from infra.settings import read_settings

    return asyncio.run(history.import_history(read_settings(), options, progress))


def export_history(options: "ExportOptions", progress: "Progress") -> "Checksum":
    """Export the configured store, or the interactions of one user, to a file."""
    import asyncio

    from commands import history
    from infra.settings import read_settings

    return asyncio.run(history.export_history(read_settings(), options, progress))


def migrate(source: str, target: str, progress: "Progress") -> "CopyProgress":
    """Copy history from one store to another."""
    import asyncio

    from commands import history
    from infra.settings import read_settings

    return asyncio.run(history.migrate(read_settings(), source, target, progress))


def api_keys() -> "ApiKeyRepository":
    """Return the API keys of this installation."""
    from infra.clock import SystemClock
    from infra.security.api_keys.repository import FileApiKeyRepository
    from infra.settings import read_settings

    return FileApiKeyRepository(read_settings().data_dir, SystemClock())


def selftest(report: "Callable[[FaultResult], object]") -> "Sequence[FaultResult]":
    """Simulate faults of providers, and kill a service during an answer; call `report` with each result, and return all."""
    import asyncio
    import logging

    from app.cli.parser import CommandFailed
    from infra.selftest import bench, killed_process

    async def run() -> "Sequence[FaultResult]":
        return [*await bench.run(report), *await killed_process.run(report)]

    logging.getLogger("infra").setLevel(logging.CRITICAL)  # the faults are simulated
    try:
        return asyncio.run(run())
    except killed_process.CannotRun as error:
        raise CommandFailed(str(error)) from error


def main(arguments: list[str]) -> int:
    """Run the command and return the exit code."""
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
            api_keys=api_keys,
            selftest=selftest,
        )
        return run(arguments, commands)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:  # while modules are imported; the commands handle it themselves
        sys.exit(130)
