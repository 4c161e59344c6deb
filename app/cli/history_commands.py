"""`python main.py import | export | migrate`: runs the command and formats its output."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.entities.checksum import Checksum
from domain.entities.copy_progress import CopyProgress

Progress = Callable[[int, int], None]
"""Progress callback: items done, items in total."""

Warn = Callable[[str], None]
"""Shows one line to the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """Options of `import`.

    Attributes:
        on_invalid_line: Called with the number of each invalid line and the reason, and the line is skipped; None ends
            the import at the first one.
        is_dry_run: Only check whether all lines are valid.
    """

    file: Path
    on_invalid_line: Callable[[int, str], None] | None
    is_dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Options of `export`.

    Attributes:
        user_id: Export only the interactions of this user; None exports those of all users.
        on_undelivered: Called with the number of interactions that this host has not delivered to the store, unless it
            is 0.
        on_missing: Called with the number of references to contents that are not stored, unless it is 0.
    """

    file: Path
    user_id: str | None
    overwrite: bool
    on_undelivered: Callable[[int], None]
    on_missing: Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryCommands:
    """Implementations of the three commands, assembled by `main.py`.

    Attributes:
        migrate: Copies from one store to another; takes the names of both.
        store_names: Names of the stores.
    """

    import_: Callable[[ImportOptions, Progress], CopyProgress]
    export: Callable[[ExportOptions, Progress], Checksum]
    migrate: Callable[[str, str, Progress], CopyProgress]
    store_names: Sequence[str]


class CopyMismatch(Exception):
    """The target does not contain what was copied; the message lists the differences and the next step."""


def run_history(
    parsed: argparse.Namespace, commands: HistoryCommands, progress: Progress, warn: Warn
) -> list[str]:
    """Run the command that `app/cli/history_arguments.py` parsed, and return the lines to print.

    Raises:
        CopyMismatch: Interactions are missing in the target, or differ from the source.
    """
    if parsed.command == "export":
        return _export(parsed, commands, progress, warn)
    if parsed.command == "import":
        return _import(parsed, commands, progress, warn)
    source, target = parsed.from_, parsed.to_
    copied = commands.migrate(source, target, progress)
    lines = _comparison(copied, source, target)
    if copied.erasures:
        lines.append(
            f"{copied.erasures} erasures were taken over, so late writes cannot restore these interactions."
        )
    return [
        *lines,
        f"{source} was not changed. Now configure {target} and start the service.",
    ]


def _export(
    parsed: argparse.Namespace, commands: HistoryCommands, progress: Progress, warn: Warn
) -> list[str]:
    def on_undelivered(count: int) -> None:
        warn(f"export: {count} interactions of this host are not in the store yet and not exported")

    def on_missing(count: int) -> None:
        warn(
            f"export: {count} attachments or long texts are not in the store and not exported; their interactions are"
        )

    options = ExportOptions(
        file=parsed.file,
        user_id=parsed.user,
        overwrite=parsed.force,
        on_undelivered=on_undelivered,
        on_missing=on_missing,
    )
    return [f"{parsed.file}: {commands.export(options, progress)}"]


def _import(
    parsed: argparse.Namespace, commands: HistoryCommands, progress: Progress, warn: Warn
) -> list[str]:
    def on_invalid_line(line: int, reason: str) -> None:
        warn(f"import: line {line} is skipped: {reason}")

    options = ImportOptions(
        file=parsed.file,
        on_invalid_line=on_invalid_line if parsed.skip_invalid else None,
        is_dry_run=parsed.dry_run,
    )
    imported = commands.import_(options, progress)
    skipped = (
        [f"Skipped lines that are not interactions: {imported.invalid}."]
        if imported.invalid
        else []
    )
    if parsed.dry_run:
        return [
            f"{parsed.file}: {imported.source}",
            *_expired(imported),
            *skipped,
            "Nothing was stored.",
        ]
    return [*_comparison(imported, str(parsed.file), "the store"), *skipped]


def _comparison(copied: CopyProgress, source: str, target: str) -> list[str]:
    lines = [f"{source}: {copied.source}", f"{target}: {copied.target}"]
    if not copied.is_complete:
        keys = ", ".join("/".join(key) for key in copied.differing_keys)
        raise CopyMismatch(
            "\n".join(
                [
                    f"{copied.differing} interactions are missing in {target} or differ from those in {source}:",
                    *lines,
                    f"They are {keys}{' and more' * (copied.differing > len(copied.differing_keys))}.",
                    f"Interactions that {target} already had were not changed: compare them. To copy missing ones, run "
                    "the command again; it starts at the beginning.",
                ]
            )
        )
    if copied.erased:
        lines.append(f"{copied.erased} more were erased in {target} and stay erased.")
    if copied.missing:
        lines.append(
            f"{copied.missing} of their attachments or long texts are neither in {source} nor in {target}."
        )
    return [*lines, *_expired(copied)]


def _expired(copied: CopyProgress) -> list[str]:
    if not copied.expired:
        return []
    return [f"{copied.expired} more are left out: older than HISTORY_RETENTION_DAYS allows."]
