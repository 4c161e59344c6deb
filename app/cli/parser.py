"""Commands and arguments of `python main.py`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from tqdm import tqdm

from app.cli.history_arguments import add_history_parsers
from app.cli.history_commands import (
    CopyMismatch,
    HistoryCommands,
    Progress,
    run_history,
)
from app.cli.keys_commands import UnknownKey, add_keys_parser, run_keys
from domain.interfaces.api_key_repository import ApiKeyRepository
from domain.use_cases.redrive_dead_letters import RedriveResult

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: a restart does not help until the configuration is corrected."""


class FaultResult(Protocol):
    """Result of one simulated fault."""

    @property
    def title(self) -> str: ...
    @property
    def got(self) -> str: ...
    @property
    def attempts(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def has_passed(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupResult:
    """A copy of the embedded store.

    Attributes:
        size_bytes: Of the file and the folder together.
        folder: The attachments; None if there are none.
    """

    size_bytes: int
    folder: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Implementations of the commands, assembled by `main.py`.

    Attributes:
        serve: Serves HTTP until a signal; returns the exit code.
        work: Moves interactions from the queue to the store until a signal; returns the exit code.
        redrive: Returns dead letters to the queue, or only counts them.
        backup: Copies the embedded store to a file, and its attachments to a folder next to it; calls its last two
            arguments with the progress of the file and the number of attachments copied.
        history: Implementations of `import`, `export` and `migrate`.
        api_keys: Returns the repository of API keys.
        selftest: Simulates faults of providers and the death of a process; calls its argument with each result and returns all.
    """

    serve: Callable[[], int]
    work: Callable[[], int]
    redrive: Callable[[bool, Progress], RedriveResult]
    backup: Callable[[Path, bool, Progress, Callable[[int], None]], BackupResult]
    history: HistoryCommands
    api_keys: Callable[[], ApiKeyRepository]
    selftest: Callable[[Callable[[FaultResult], object]], Sequence[FaultResult]]


class CommandFailed(Exception):
    """A command failed; the message contains the reason and the next step."""


def run(arguments: Sequence[str], commands: Commands) -> int:
    """Run the command and return its exit code; `--help` lists the codes."""
    parsed = _parser(commands.history.store_names).parse_args(arguments)
    try:
        if parsed.command == "serve":
            return commands.serve()
        if parsed.command == "worker":
            return commands.work()
        if parsed.command == "redrive":
            return _redrive(parsed, commands)
        if parsed.command == "selftest":
            return _selftest(commands)
        if parsed.command == "keys":
            return _keys(parsed, commands)
        if parsed.command in ("import", "export", "migrate"):
            return _history(parsed, commands)
        return _backup(parsed, commands)
    except (CommandFailed, CopyMismatch, UnknownKey) as failure:
        print(f"{parsed.command}: {failure}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print(f"{parsed.command}: interrupted; run it again to continue", file=sys.stderr)
        return EXIT_INTERRUPTED


def _progress_of(bar: "tqdm[NoReturn]") -> Progress:
    def progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return progress


def _warn(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


def _backup(parsed: argparse.Namespace, commands: Commands) -> int:
    with (
        tqdm(unit="page", desc="backup", disable=None) as bar,
        tqdm(unit="attachment", desc="attachments", disable=None) as attachments_bar,
    ):

        def attachments_progress(count: int) -> None:
            attachments_bar.update(count - attachments_bar.n)

        copied = commands.backup(
            parsed.file,
            parsed.force,
            _progress_of(bar),
            attachments_progress,
        )
    if copied.folder is None:
        print(f"{parsed.file}: {copied.size_bytes} bytes, checked.")
        print("To restore, stop the service and replace history.db in DATA_DIR by this file.")
    else:
        print(f"{parsed.file} and {copied.folder}: {copied.size_bytes} bytes, checked.")
        print(
            "To restore, stop the service and replace history.db and attachments in DATA_DIR by this file and this folder."
        )
    return EXIT_OK


def _history(parsed: argparse.Namespace, commands: Commands) -> int:
    unit = "B" if parsed.command == "import" else "interaction"
    with tqdm(unit=unit, unit_scale=True, desc=parsed.command, disable=None) as bar:
        lines = run_history(parsed, commands.history, _progress_of(bar), _warn)
    for line in lines:
        print(line)
    return EXIT_OK


def _redrive(parsed: argparse.Namespace, commands: Commands) -> int:
    with tqdm(unit="message", desc="redrive", disable=None) as bar:
        result = commands.redrive(parsed.dry_run, _progress_of(bar))
    would = "would be " if parsed.dry_run else ""
    print(f"{result.sent_back} {would}sent back to the queue.")
    print(f"{result.erased} {would}deleted, because their interactions were erased meanwhile.")
    print(f"{result.unreadable} left in place: this version cannot read them.")
    return EXIT_OK


def _keys(parsed: argparse.Namespace, commands: Commands) -> int:
    for line in run_keys(parsed, commands.api_keys()):
        print(line)
    return EXIT_OK


def _selftest(commands: Commands) -> int:
    with tqdm(unit="fault", desc="selftest", disable=None) as bar:
        results = commands.selftest(lambda _: bar.update())
    print(f"{'fault':36} {'response':18} {'attempts':>8} {'seconds':>8}  result")
    for result in results:
        outcome = "ok" if result.has_passed else "WRONG"
        print(
            f"{result.title:36} {result.got:18} {result.attempts:8} {result.seconds:8.2f}  {outcome}"
        )
    failed = sum(not result.has_passed for result in results)
    if failed:
        print(f"{failed} of {len(results)} checks failed.", file=sys.stderr)
        return EXIT_FAILED
    print(f"All {len(results)} checks passed.")
    return EXIT_OK


def _parser(store_names: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python main.py",
        description="RT GenAI Platform: an LLM chat backend with durable history. "
        "Settings are read from the environment and .env; .env.example lists them all.",
        epilog="Exit codes: 0 success, 1 failure, 2 invalid command line, 78 invalid configuration, 130 interrupted.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "serve",
        help="serve HTTP on HOST and PORT (127.0.0.1:8000)",
        description="Serve HTTP until SIGTERM or SIGINT; then finish the requests in progress and exit 0.",
    )
    commands.add_parser(
        "worker",
        help="move interactions from the queue to the store",
        description="Receive from SQS_QUEUE_URL and write to the store until SIGTERM or SIGINT; then finish the batches "
        "in progress and exit 0.",
    )
    redrive = commands.add_parser(
        "redrive",
        help="move dead letters back to the queue",
        description="Move the messages of the dead-letter queue back to the queue, except those whose interactions "
        "were erased (deleted) and those that cannot be read (left in place). May be interrupted and started again.",
    )
    redrive.add_argument("--dry-run", action="store_true", help="only print what would be done")
    commands.add_parser(
        "selftest",
        help="test failover against simulated faults and a killed process, without an API key or a network",
        description="Start a provider that simulates faults on loopback, send requests to it through the provider chain "
        "with shortened timeouts, and print the result of each fault. Then kill a service with SIGKILL in the middle of an answer, and "
        "read the rest of its background answers from the next one; both have a temporary DATA_DIR. Takes about twenty "
        "seconds and changes no data.",
    )
    add_keys_parser(commands)
    add_history_parsers(commands, store_names)
    backup = commands.add_parser(
        "backup",
        help="copy the embedded store to a file, also while the service runs",
        description="Copy a consistent snapshot of the embedded store to FILE, and its attachments to the folder "
        "FILE.attachments if there are any, and check the copies.",
    )
    backup.add_argument("file", type=Path, metavar="FILE", help="file to write")
    backup.add_argument("--force", action="store_true", help="overwrite FILE if it exists")
    return parser
