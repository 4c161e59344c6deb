"""The arguments of `python main.py import | export | migrate`."""

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
        help="import exported interactions into the store",
        description="Import the interactions of FILE, JSON lines as `export` and GET …/export write them, into the "
        "configured store. Existing interactions stay unchanged, erased ones stay erased. Every batch is durable and "
        "read back before it counts. After an interruption, start it again: it resumes. With the embedded store the "
        "service has to be stopped.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON lines, one interaction each")
    parser.add_argument(
        "--skip-invalid",
        action="store_true",
        help="skip and report invalid lines; otherwise the first one ends the import",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only check whether all lines can be imported"
    )


def _add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "export",
        help="export the store, or the interactions of one user, to a file",
        description="Write every interaction of the configured store to FILE as JSON lines, also while the service "
        "runs. FILE appears when it is complete. After an interruption, start it again within a day: it resumes. "
        "Interactions that a host has not delivered to MongoDB or DynamoDB yet are not exported; the command reports "
        "those of this host.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the file to write")
    parser.add_argument(
        "--user", type=_user, metavar="USER", help="export only this user's interactions"
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE if it exists")


def _add_migrate(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", store_names: Sequence[str]
) -> None:
    parser = commands.add_parser(
        "migrate",
        help="copy history from one store to another",
        description="Copy all interactions and tombstones from one store to another, unchanged. Configure both stores: "
        "DATA_DIR, MONGO_URI and MONGO_DB, DYNAMODB_TABLE. First let the service deliver its outbox, then stop it. The "
        "source stays unchanged. After an interruption, start it again: it resumes.",
    )
    for name, help_ in (("from", "the source"), ("to", "the target")):
        parser.add_argument(
            f"--{name}",
            dest=f"{name}_",
            choices=store_names,
            required=True,
            help=f"{help_}: {', '.join(store_names)}",
        )


def _user(text: str) -> str:
    if not is_user_id(text):
        raise argparse.ArgumentTypeError("not a user id")
    return text
