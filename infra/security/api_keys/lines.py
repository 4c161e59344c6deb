"""API keys as lines of text, for deployments without a writable disk: an orchestrator's secret, a file in an image.

    id=k3j5h2m9x0ab hash=<64 hex digits> user=ana scopes=chat:write+history:read expires=2027-01-31T00:00:00Z name=phone

`id` and `hash` are required; without `user` it is a backend key, without `scopes` it has all scopes but
`admin:read`.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from domain.entities.api_key import ApiKey
from domain.entities.caller import USER_SCOPES, Scope, is_user_id
from infra.security.api_keys.key_format import KEY_ID_PATTERN

_ID = re.compile(KEY_ID_PATTERN)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FIELDS = {"id", "hash", "user", "scopes", "expires", "name"}


class BadKeyLine(ValueError):
    """A line is not valid; the message gives its number and the reason, without the hash."""


def parse_lines(lines: Iterable[str]) -> Iterator[ApiKey]:
    """Yield the key of each line; empty lines and those that begin with `#` are skipped.

    Raises:
        BadKeyLine: A line is not valid.
    """
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                yield _parse(text)
            except ValueError as exc:
                raise BadKeyLine(f"line {number}: {exc}") from exc


def line_of(key: ApiKey) -> str:
    """Return the line that `parse_lines` reads as `key`."""
    parts = [f"id={key.id}", f"hash={key.digest.hex()}"]
    if key.user_id is not None:
        parts.append(f"user={key.user_id}")
    if key.scopes != USER_SCOPES:
        parts.append(f"scopes={'+'.join(sorted(key.scopes))}")
    if key.expires_milliseconds is not None:
        expires = datetime.fromtimestamp(key.expires_milliseconds / 1000, UTC)
        parts.append(f"expires={expires.isoformat().replace('+00:00', 'Z')}")
    if key.name:
        parts.append(f"name={key.name}")
    return " ".join(parts)


def _parse(text: str) -> ApiKey:
    pairs = [part.partition("=") for part in text.split()]
    fields = {name: value for name, _, value in pairs}
    if len(fields) != len(pairs):
        raise ValueError("a field stands twice")
    if fields.keys() - _FIELDS:
        raise ValueError(f"it holds another field than {', '.join(sorted(_FIELDS))}")
    if not _ID.fullmatch(fields.get("id", "")):
        raise ValueError("id= is missing or not one of ours")
    if not _HASH.fullmatch(fields.get("hash", "")):
        raise ValueError("hash= is not 64 lower-case hex digits")
    user_id = fields.get("user")
    if user_id is not None and not is_user_id(user_id):
        raise ValueError("user= is not a user id")
    return ApiKey(
        id=fields["id"],
        digest=bytes.fromhex(fields["hash"]),
        name=fields.get("name", ""),
        user_id=user_id,
        scopes=_scopes(fields.get("scopes")),
        expires_milliseconds=_milliseconds(fields.get("expires")),
    )


def _scopes(text: str | None) -> frozenset[Scope]:
    if text is None:
        return USER_SCOPES
    try:
        return frozenset(Scope(name) for name in text.split("+"))
    except ValueError as exc:
        raise ValueError(f"scopes= takes {', '.join(Scope)}, joined by +") from exc


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("expires= needs a time zone, such as 2027-01-31T00:00:00Z")
    return round(moment.timestamp() * 1000)
