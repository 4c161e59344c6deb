"""`python main.py keys …`: create, list and revoke API keys."""

import argparse
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from domain.entities.api_key import ApiKey
from domain.entities.caller import USER_SCOPES, Scope, is_user_id
from domain.interfaces.api_key_repository import ApiKeyRepository

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_DURATION = re.compile(r"(\d{1,5})([hdw])", re.ASCII)
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class UnknownKey(Exception):
    """No key has this id; the message contains the next step."""


def add_keys_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `keys` with its three actions."""
    keys = commands.add_parser(
        "keys",
        help="create, list and revoke API keys",
        description="Create, list and revoke API keys, before the first start or while the service runs. "
        "Changes take effect within 2 s.",
    )
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser(
        "create",
        help="create a key and print it as the last line",
        description="Create a key and print it as the last line. Only its hash is stored, so it cannot be shown again. "
        "Without --user the key may act for any user, as a backend does; without --scope it has all scopes but "
        f"{Scope.ADMIN_READ}, which reads the usage of all users.",
    )
    create.add_argument("--name", type=_name, metavar="NAME", help="a name for the key")
    create.add_argument(
        "--user", type=_user, metavar="USER", help="the only user for whom the key may act"
    )
    create.add_argument(
        "--scope",
        type=Scope,
        action="append",
        metavar="SCOPE",
        help=f"a permission of the key, may be repeated: {', '.join(Scope)}",
    )
    create.add_argument(
        "--expires",
        type=_expiry,
        metavar="WHEN",
        help="end of its validity: 90d, 12h, 2w, or a time such as 2027-01-31T00:00:00Z",
    )
    create.add_argument(
        "--line",
        action="store_true",
        help="do not store the key; print a line for API_KEYS or API_KEYS_FILE before it",
    )
    actions.add_parser(
        "list", help="list all keys", description="List all keys, oldest first, without secrets."
    )
    revoke = actions.add_parser(
        "revoke", help="revoke a key", description="Revoke a key; it cannot be restored."
    )
    revoke.add_argument("id", metavar="ID", help="id of the key, as shown by `keys list`")


def run_keys(parsed: argparse.Namespace, api_keys: ApiKeyRepository) -> list[str]:
    """Run the action that the parser of `add_keys_parser` returned, and return the lines to print.

    Raises:
        UnknownKey: The key to revoke does not exist.
    """
    if parsed.action == "create":
        return _create(parsed, api_keys)
    if parsed.action == "list":
        return _table(api_keys.keys())
    return _revoke(parsed.id, api_keys)


def _create(parsed: argparse.Namespace, api_keys: ApiKeyRepository) -> list[str]:
    created = api_keys.create(
        name=parsed.name or "",
        user_id=parsed.user,
        scopes=frozenset(parsed.scope or USER_SCOPES),
        expires_milliseconds=parsed.expires,
    )
    record = created.record
    user = "any user" if record.user_id is None else record.user_id
    expires = record.expires_milliseconds
    lines = [
        f"Key {record.id} acts for {user}: {', '.join(sorted(record.scopes))}.",
        f"It is valid until {'it is revoked' if expires is None else _time(expires)}.",
    ]
    if parsed.line:
        lines += ["It is not stored. Line for API_KEYS or API_KEYS_FILE:", created.line]
    else:
        api_keys.add(record)
    return [*lines, "Store it in a safe place; it is not shown again:", created.key]


def _table(keys: Iterable[ApiKey]) -> list[str]:
    now_milliseconds = round(datetime.now(UTC).timestamp() * 1000)
    rows = [("ID", "NAME", "USER", "SCOPES", "CREATED", "EXPIRES", "STATE")]
    rows += [
        (
            key.id,
            key.name or "-",
            key.user_id or "any",
            "all" if key.scopes == USER_SCOPES else ",".join(sorted(key.scopes)),
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


def _revoke(key_id: str, api_keys: ApiKeyRepository) -> list[str]:
    if not api_keys.revoke(key_id):
        raise UnknownKey("no key has this id; `python main.py keys list` shows all keys")
    return [f"Key {key_id} is revoked; running services refuse it within 2 s."]


def _state(key: ApiKey, now_milliseconds: int) -> str:
    if key.revoked_milliseconds is not None:
        return "revoked"
    expires = key.expires_milliseconds
    return "expired" if expires is not None and expires <= now_milliseconds else "holds"


def _time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _validated(is_valid: Callable[[str], object], expected: str) -> Callable[[str], str]:
    def validate(text: str) -> str:
        if not is_valid(text):
            raise argparse.ArgumentTypeError(f"not {expected}")
        return text

    return validate


_name = _validated(_NAME.fullmatch, "a name: up to 64 letters, digits and . _ @ -")
_user = _validated(is_user_id, "a user id")


def _expiry(text: str) -> int:
    """Return the milliseconds since 1970 UTC of a time, or of the end of a duration that starts now."""
    now = datetime.now(UTC)
    try:
        if duration := _DURATION.fullmatch(text):
            moment = now + timedelta(**{_UNITS[duration[2]]: int(duration[1])})
        else:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as exc:
        raise argparse.ArgumentTypeError("not a duration such as 90d, nor a time") from exc
    if moment <= now:
        raise argparse.ArgumentTypeError("in the past")
    return round(moment.timestamp() * 1000)
