"""`python main.py keys …`: make, list and revoke API keys."""

import argparse
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from domain.entities.api_key import ApiKey
from domain.entities.caller import Scope, is_user_id
from domain.interfaces.api_key_repository import ApiKeyRepository

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_SPAN = re.compile(r"(\d{1,5})([hdw])", re.ASCII)
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class UnknownKey(Exception):
    """No key has this id; the message says what to do next."""


def add_keys_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its own three."""
    keys = commands.add_parser(
        "keys",
        help="make, list and revoke API keys",
        description="Make, list and revoke API keys, before the first start or while the service runs. "
        "A change holds within 2 s.",
    )
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser(
        "create",
        help="make a key and print it, once, as the last line",
        description="Make a key and print it as the last line. It is kept as a hash only and cannot be shown again. "
        "Without --user it is a backend's and acts for any user; without --scope it may do everything.",
    )
    create.add_argument("--name", type=_name, metavar="NAME", help="what you call it")
    create.add_argument("--user", type=_user, metavar="USER", help="the only user it acts for")
    create.add_argument(
        "--scope",
        type=Scope,
        action="append",
        metavar="SCOPE",
        help=f"what it may do, once for each: {', '.join(Scope)}",
    )
    create.add_argument(
        "--expires",
        type=_moment,
        metavar="WHEN",
        help="until when it holds: 90d, 12h, 2w, or a time such as 2027-01-31T00:00:00Z",
    )
    create.add_argument(
        "--line",
        action="store_true",
        help="do not keep it here; print a line for API_KEYS or API_KEYS_FILE before it",
    )
    actions.add_parser(
        "list", help="list all keys", description="List all keys, oldest first, without secrets."
    )
    revoke = actions.add_parser(
        "revoke", help="let a key hold no longer", description="Let a key hold no longer."
    )
    revoke.add_argument("id", metavar="ID", help="its id, as `keys list` shows it")


def run_keys(parsed: argparse.Namespace, book: ApiKeyRepository) -> list[str]:
    """Carry out one command, as the parser of `add_keys_parser` understood it, and return the lines to print.

    Raises:
        UnknownKey: There is no key to revoke.
    """
    if parsed.action == "create":
        return _create(parsed, book)
    if parsed.action == "list":
        return _listed(book.keys())
    return _revoke(parsed.id, book)


def _create(parsed: argparse.Namespace, book: ApiKeyRepository) -> list[str]:
    made = book.create(
        name=parsed.name or "",
        user_id=parsed.user,
        scopes=frozenset(parsed.scope or Scope),
        expires_milliseconds=parsed.expires,
    )
    record = made.record
    acts_for = "any user" if record.user_id is None else record.user_id
    until = record.expires_milliseconds
    told = [
        f"Key {record.id} acts for {acts_for}: {', '.join(sorted(record.scopes))}.",
        f"It holds until {'it is revoked' if until is None else _time(until)}.",
    ]
    if parsed.line:
        told += ["It is not kept here. For API_KEYS or API_KEYS_FILE:", made.line]
    else:
        book.add(record)
    return [*told, "Keep it safe; it is not shown again:", made.key]


def _listed(keys: Iterable[ApiKey]) -> list[str]:
    now_milliseconds = round(datetime.now(UTC).timestamp() * 1000)
    rows = [("ID", "NAME", "USER", "SCOPES", "CREATED", "EXPIRES", "STATE")]
    rows += [
        (
            key.id,
            key.name or "-",
            key.user_id or "any",
            "all" if key.scopes == frozenset(Scope) else ",".join(sorted(key.scopes)),
            _time(key.created_milliseconds),
            "never" if key.expires_milliseconds is None else _time(key.expires_milliseconds),
            _state(key, now_milliseconds),
        )
        for key in keys
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _revoke(key_id: str, book: ApiKeyRepository) -> list[str]:
    if not book.revoke(key_id):
        raise UnknownKey("no key has this id; `python main.py keys list` shows them all")
    return [f"Key {key_id} is revoked; running services refuse it within 2 s."]


def _state(key: ApiKey, now_milliseconds: int) -> str:
    if key.revoked_milliseconds is not None:
        return "revoked"
    expires = key.expires_milliseconds
    return "expired" if expires is not None and expires <= now_milliseconds else "holds"


def _time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _checked(is_valid: Callable[[str], object], what: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not is_valid(text):
            raise argparse.ArgumentTypeError(f"not {what}")
        return text

    return check


_name = _checked(_NAME.fullmatch, "a name: up to 64 letters, digits and . _ @ -")
_user = _checked(is_user_id, "a user id")


def _moment(text: str) -> int:
    """Return the milliseconds since 1970 UTC of a span from now, or of a time."""
    now = datetime.now(UTC)
    try:
        if span := _SPAN.fullmatch(text):
            moment = now + timedelta(**{_UNITS[span[2]]: int(span[1])})
        else:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as exc:
        raise argparse.ArgumentTypeError("not a span such as 90d, nor a time") from exc
    if moment <= now:
        raise argparse.ArgumentTypeError("that is over")
    return round(moment.timestamp() * 1000)
