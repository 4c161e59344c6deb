"""`python main.py import | export | migrate`: what is done, and what is said about it."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.entities.checksum import Checksum
from domain.entities.copy_progress import CopyProgress

Progress = Callable[[int, int], None]
"""Told how much is done and how much there is, as often as it likes."""

Warn = Callable[[str], None]
"""Told one line for the operator."""


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
    """What the three commands do; given by `main.py`, which knows the wiring.

    Attributes:
        migrate: Copies from one store to another, each by its name.
        store_names: The names of the stores.
    """

    import_: Callable[[ImportOrder, Progress], CopyProgress]
    export: Callable[[ExportOrder, Progress], Checksum]
    migrate: Callable[[str, str, Progress], CopyProgress]
    store_names: Sequence[str]


class CopyIsWrong(Exception):
    """What was copied is not what is there; the message says so and what to do next."""


def run_history(
    parsed: argparse.Namespace, commands: HistoryCommands, progress: Progress, warn: Warn
) -> list[str]:
    """Carry out one command, as `app/cli/history_arguments.py` understood it, and return the lines to print.

    Raises:
        CopyIsWrong: The target does not hold all that was to be copied, as it was.
    """
    if parsed.command == "export":
        return _export(parsed, commands, progress, warn)
    if parsed.command == "import":
        return _import(parsed, commands, progress, warn)
    source, target = parsed.from_, parsed.to_
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
    if not copied.is_complete:
        named = ", ".join("/".join(key) for key in copied.differing_keys)
        raise CopyIsWrong(
            "\n".join(
                [
                    f"{copied.differing} interactions are missing in {target}, or are not there as they are in {source}:",
                    *lines,
                    f"They are {named}{' and more' * (copied.differing > len(copied.differing_keys))}.",
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
