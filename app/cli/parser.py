"""The command line: what can be said after `python main.py`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from tqdm import tqdm

from app.cli.history_arguments import add_history_parsers
from app.cli.history_commands import (
    CopyIsWrong,
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
"""EX_CONFIG of sysexits.h: starting again changes nothing until somebody changes the configuration."""


class Verdict(Protocol):
    """What became of one fault."""

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
class Commands:
    """What each command does; given by `main.py`, which knows the wiring.

    Attributes:
        serve: Serves until told to stop; returns the exit code.
        work: Carries interactions from the queue to the store until told to stop; returns the exit code.
        redrive: Puts dead letters back on the queue, or only looks at them; returns what it did.
        backup: Copies the embedded store to a file; returns how many bytes it has.
        history: Carries history into a store, out of one, and from one to another.
        key_book: Returns where keys are made and revoked.
        selftest: Sends faults through the real chain; tells each verdict as it comes, and returns them all.
    """

    serve: Callable[[], int]
    work: Callable[[], int]
    redrive: Callable[[bool, Progress], RedriveResult]
    backup: Callable[[Path, bool, Progress], int]
    history: HistoryCommands
    key_book: Callable[[], ApiKeyRepository]
    selftest: Callable[[Callable[[Verdict], object]], Sequence[Verdict]]


class CommandFailed(Exception):
    """A command could not do its work; the message says why and what to do next."""


def run(arguments: Sequence[str], commands: Commands) -> int:
    """Carry out one command line and return the exit code: 0, 1 failed, 2 not understood, 78 configuration, 130 interrupted."""
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
    except (CommandFailed, CopyIsWrong, UnknownKey) as failure:
        print(f"{parsed.command}: {failure}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print(f"{parsed.command}: interrupted; run it again to go on", file=sys.stderr)
        return EXIT_INTERRUPTED


def _shown_by(bar: "tqdm[NoReturn]") -> Progress:
    def progress(done: int, whole: int) -> None:
        bar.total = whole
        bar.update(done - bar.n)

    return progress


def _warn(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


def _backup(parsed: argparse.Namespace, commands: Commands) -> int:
    with tqdm(unit="page", desc="backup", disable=None) as bar:
        size_bytes = commands.backup(parsed.file, parsed.force, _shown_by(bar))
    print(f"{parsed.file}: {size_bytes} bytes, checked.")
    print("To restore, stop the service and put it in place of history.db in DATA_DIR.")
    return EXIT_OK


def _history(parsed: argparse.Namespace, commands: Commands) -> int:
    unit = "B" if parsed.command == "import" else "interaction"
    with tqdm(unit=unit, unit_scale=True, desc=parsed.command, disable=None) as bar:
        lines = run_history(parsed, commands.history, _shown_by(bar), _warn)
    for line in lines:
        print(line)
    return EXIT_OK


def _redrive(parsed: argparse.Namespace, commands: Commands) -> int:
    with tqdm(unit="message", desc="redrive", disable=None) as bar:
        redriven = commands.redrive(parsed.dry_run, _shown_by(bar))
    would = "would be " if parsed.dry_run else ""
    print(f"{redriven.sent_back} {would}sent back to the queue.")
    print(f"{redriven.erased} {would}deleted, because their interactions were erased meanwhile.")
    print(f"{redriven.unreadable} left where they are: this version cannot read them.")
    return EXIT_OK


def _keys(parsed: argparse.Namespace, commands: Commands) -> int:
    for line in run_keys(parsed, commands.key_book()):
        print(line)
    return EXIT_OK


def _selftest(commands: Commands) -> int:
    with tqdm(unit="fault", desc="selftest", disable=None) as bar:
        verdicts = commands.selftest(lambda _: bar.update())
    print(f"{'fault':36} {'the caller got':18} {'attempts':>8} {'seconds':>8}  verdict")
    for one in verdicts:
        verdict = "ok" if one.has_passed else "WRONG"
        print(f"{one.title:36} {one.got:18} {one.attempts:8} {one.seconds:8.2f}  {verdict}")
    wrong = sum(not one.has_passed for one in verdicts)
    if wrong:
        print(f"{wrong} of {len(verdicts)} are not as they should be.", file=sys.stderr)
        return EXIT_FAILED
    print(f"All {len(verdicts)} are as they should be.")
    return EXIT_OK


def _parser(store_names: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python main.py",
        description="RT GenAI Platform: an LLM chat backend that never loses history. "
        "Settings come from the environment and .env; .env.example names them all.",
        epilog="Exit codes: 0 done, 1 failed, 2 command line not understood, 78 configuration refused, 130 interrupted.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "serve",
        help="serve HTTP on HOST and PORT (127.0.0.1:8000)",
        description="Serve HTTP until SIGTERM or SIGINT; then finish what is under way and exit 0.",
    )
    commands.add_parser(
        "worker",
        help="carry interactions from the queue to the store",
        description="Receive from SQS_QUEUE_URL and write to the store, until SIGTERM or SIGINT; then finish what is "
        "in hand and exit 0.",
    )
    redrive = commands.add_parser(
        "redrive",
        help="put dead letters back on the queue",
        description="Move what is in the dead-letter queue back to the queue, but for what was erased or cannot be "
        "read. It may be interrupted and started again.",
    )
    redrive.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    commands.add_parser(
        "selftest",
        help="see fail-over work against a provider that misbehaves, without a key or a network",
        description="Start a misbehaving provider on loopback, send its faults through the real chain on scaled "
        "clocks, and print what came of each. Takes some ten seconds and touches no data.",
    )
    add_keys_parser(commands)
    add_history_parsers(commands, store_names)
    backup = commands.add_parser(
        "backup",
        help="copy the embedded store to a file, also while it is in use",
        description="Copy the embedded store as it is at this moment to FILE, and check the copy.",
    )
    backup.add_argument("file", type=Path, metavar="FILE", help="where the copy goes")
    backup.add_argument("--force", action="store_true", help="overwrite FILE if it exists")
    return parser
