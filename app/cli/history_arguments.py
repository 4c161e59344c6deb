"""What can be said after `python main.py import | export | migrate`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from domain.entities.caller import is_user_id


def add_history_parsers(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", store_names: Sequence[str]
) -> None:
    """Add the three commands; `store_names` are the stores that `migrate` can copy between."""
    _add_import(commands)
    _add_export(commands)
    _add_migrate(commands, store_names)


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


def _add_migrate(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", store_names: Sequence[str]
) -> None:
    parser = commands.add_parser(
        "migrate",
        help="copy history from one store to another",
        description="Copy all interactions from one store to another, unchanged, and what was erased with them. Set what "
        "both stores need: DATA_DIR, MONGO_URI and MONGO_DB, DYNAMODB_TABLE. Stop the service first and let it deliver "
        "its outbox. The source is left as it is. Interrupted, start it again: it goes on where it was.",
    )
    for name, help_ in (("from", "where history is"), ("to", "where it goes")):
        parser.add_argument(
            f"--{name}",
            dest=f"{name}_",
            choices=store_names,
            required=True,
            help=f"{help_}: {', '.join(store_names)}",
        )


def _user(text: str) -> str:
    if not is_user_id(text):
        raise argparse.ArgumentTypeError("is not the name of a user")
    return text
