"""`python main.py import | export | migrate`: history into a store, out of one, from one to another."""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from domain.entities.caller import USER_ID_PATTERN
from domain.entities.checksum import Checksum
from domain.entities.copy_progress import CopyProgress
from domain.entities.store_kind import StoreKind

Progress = Callable[[int, int], None]
"""Told how much is done and how much there is, as often as it likes."""

Warn = Callable[[str], None]
"""Told one line for the operator."""

_USER = re.compile(USER_ID_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOrder:
    """What `import` was asked for.

    Attributes:
        skip: Told the number of each line that is left out, and why; None stops at the first.
        is_dry_run: Only look whether all lines can be read.
    """

    file: Path
    skip: Callable[[int, str], None] | None
    is_dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOrder:
    """What `export` was asked for.

    Attributes:
        user_id: Whose; None exports everybody's.
        waiting: Told how many interactions this host has still to deliver to the store, if there are any.
    """

    file: Path
    user_id: str | None
    overwrite: bool
    waiting: Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryCommands:
    """What the three commands do; given by `main.py`, which knows the wiring."""

    import_: Callable[[ImportOrder, Progress], CopyProgress]
    export: Callable[[ExportOrder, Progress], Checksum]
    migrate: Callable[[StoreKind, StoreKind, Progress], CopyProgress]


class CopyIsWrong(Exception):
    """What was copied is not what is there; the message says so and what to do next."""


def add_history_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the three commands."""
    _add_import(commands)
    _add_export(commands)
    _add_migrate(commands)


def run_history(
    parsed: argparse.Namespace, commands: HistoryCommands, progress: Progress, warn: Warn
) -> list[str]:
    """Carry out one command, as the parsers of `add_history_parsers` understood it, and return the lines to print.

    Raises:
        CopyIsWrong: The target does not hold all that was to be copied, as it was.
    """
    if parsed.command == "export":
        return _export(parsed, commands, progress, warn)
    if parsed.command == "import":
        return _import(parsed, commands, progress, warn)
    source, target = StoreKind(parsed.from_), StoreKind(parsed.to_)
    copied = commands.migrate(source, target, progress)
    lines = _compared(copied, source, target)
    if copied.erasures:
        lines.append(
            f"{copied.erasures} erasures were taken over: late writes of those lose there too."
        )
    return [
        *lines,
        f"{source} was left as it is. Now set what {target} needs, and start the service.",
    ]


def _export(
    parsed: argparse.Namespace, commands: HistoryCommands, progress: Progress, warn: Warn
) -> list[str]:
    def waiting(count: int) -> None:
        warn(f"export: {count} interactions of this host are not in the store yet, and left out")

    order = ExportOrder(
        file=parsed.file, user_id=parsed.user, overwrite=parsed.force, waiting=waiting
    )
    return [f"{parsed.file}: {commands.export(order, progress)}"]


def _import(
    parsed: argparse.Namespace, commands: HistoryCommands, progress: Progress, warn: Warn
) -> list[str]:
    def skip(line: int, why: str) -> None:
        warn(f"import: line {line} is left out: {why}")

    order = ImportOrder(
        file=parsed.file,
        skip=skip if parsed.skip_invalid else None,
        is_dry_run=parsed.dry_run,
    )
    imported = commands.import_(order, progress)
    left_out = (
        [f"Lines left out, being no interactions: {imported.invalid}."] if imported.invalid else []
    )
    if parsed.dry_run:
        return [
            f"{parsed.file}: {imported.source}",
            *_expired(imported),
            *left_out,
            "Nothing was stored.",
        ]
    return [*_compared(imported, str(parsed.file), "the store"), *left_out]


def _compared(copied: CopyProgress, source: str, target: str) -> list[str]:
    lines = [f"{source}: {copied.source}", f"{target}: {copied.target}"]
    if not copied.is_right:
        named = ", ".join("/".join(place) for place in copied.differing_places)
        raise CopyIsWrong(
            "\n".join(
                [
                    f"{copied.differing} interactions are missing in {target}, or are not there as they are in {source}:",
                    *lines,
                    f"They are {named}{' and more' * (copied.differing > len(copied.differing_places))}.",
                    "What was there before was left as it was: compare them. Missing ones come when this is run again, "
                    "which will start at the beginning.",
                ]
            )
        )
    if copied.erased:
        lines.append(f"{copied.erased} more were erased in {target}, and stay erased.")
    return [*lines, *_expired(copied)]


def _expired(copied: CopyProgress) -> list[str]:
    if not copied.expired:
        return []
    return [f"{copied.expired} more are left out: older than HISTORY_RETENTION_DAYS allows."]


def _add_import(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "import",
        help="bring exported interactions into the store",
        description="Bring the interactions of FILE, JSON lines as `export` and GET …/export write them, into the "
        "configured store. What is there already stays as it is, what was erased there stays erased. Every batch is "
        "durable and read back before it counts. Interrupted, start it again: it goes on where it was. With the embedded "
        "store the service has to be stopped.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON lines, one interaction each")
    parser.add_argument(
        "--skip-invalid",
        action="store_true",
        help="leave out lines that are no interactions and name them; otherwise the first one ends the import",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only look whether all lines can be imported"
    )


def _add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "export",
        help="write the store, or one user's part of it, to a file",
        description="Write every interaction of the configured store to FILE as JSON lines, also while the service "
        "runs. FILE appears when it is whole. Interrupted, start it again within a day: it goes on where it was. What "
        "hosts have still to deliver to MongoDB or DynamoDB is not in the store yet; of this host it is told.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="where the lines go")
    parser.add_argument("--user", type=_user, metavar="USER", help="only this user's")
    parser.add_argument("--force", action="store_true", help="overwrite FILE if it exists")


def _add_migrate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "migrate",
        help="copy history from one store to another",
        description="Copy all interactions from one store to another, unchanged, and what was erased with them. Set what "
        "both stores need: DATA_DIR, MONGO_URI and MONGO_DB, DYNAMODB_TABLE. Stop the service first and let it deliver "
        "its outbox. The source is left as it is. Interrupted, start it again: it goes on where it was.",
    )
    kinds = [str(kind) for kind in StoreKind]
    for name, help_ in (("from", "where history is"), ("to", "where it goes")):
        parser.add_argument(
            f"--{name}",
            dest=f"{name}_",
            choices=kinds,
            required=True,
            help=f"{help_}: {', '.join(kinds)}",
        )


def _user(text: str) -> str:
    if _USER.fullmatch(text) is None:
        raise argparse.ArgumentTypeError("is not the name of a user")
    return text
