"""The keys that hold, in memory."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from domain.entities.api_key import ApiKey
from domain.entities.caller import Caller
from domain.exceptions import AuthUnavailable, Unauthenticated
from domain.interfaces.clock import Clock
from domain.interfaces.health import Degraded
from infra.configuration import ConfigurationError
from infra.operator_text import NotUtf8
from infra.security.api_keys.file import KEYS_FILE
from infra.security.api_keys.key_format import digest_of, key_id_of
from infra.security.api_keys.lines import BadKeyLine, parse_lines
from infra.security.api_keys.source import KeyFileSource, KeyLinesSource, KeySource
from infra.tasks.supervised import repeating, running_tasks

LOOK_SECONDS = 1.0
"""A change holds within two of these."""

_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class _Held:
    digest: bytes
    caller: Caller
    expires_milliseconds: int | None


class ApiKeyCache:
    """Tells who shows a key, without asking anybody: a background look keeps it up to date."""

    def __init__(self, given: Sequence[ApiKey], sources: Sequence[KeySource], clock: Clock) -> None:
        """Hold the `given` keys for ever, and those of `sources` as they are; call `refresh` before the first use."""
        self._given = given
        self._sources = sources
        self._clock = clock
        self._held: dict[str, _Held] = {}

    def known_caller(self, key: bytes) -> Caller | None:
        """Return who shows `key`; None where it does not hold, or cannot be checked."""
        try:
            return self.authenticate(key)
        except (Unauthenticated, AuthUnavailable):
            return None

    def authenticate(self, key: bytes) -> Caller:
        """Return who shows `key`.

        Raises:
            Unauthenticated: It is none of ours, was revoked or has expired.
            AuthUnavailable: Keys cannot be read, and what was last read is too old.
        """
        for source in self._sources:
            if source.degraded is not None and not source.is_known:
                raise AuthUnavailable
        key_id = key_id_of(key)
        held = None if key_id is None else self._held.get(key_id)
        # Compared also when there is no such id, so that the time taken does not tell.
        matches = hmac.compare_digest(digest_of(key), _NOBODY if held is None else held.digest)
        if held is None or not matches or self._has_expired(held):
            raise Unauthenticated(were_given=True)
        return held.caller

    def degraded(self) -> Sequence[Degraded]:
        """Return the sources that cannot be read."""
        return [source.degraded for source in self._sources if source.degraded is not None]

    async def refresh(self) -> None:
        """Take in what changed in the sources; what cannot be read is left as it was."""
        changed = [await asyncio.to_thread(source.look) for source in self._sources]
        if any(changed) or not self._held:
            self._held = self._gathered()

    def _gathered(self) -> dict[str, _Held]:
        keys = {key.id: key for key in self._given}
        # `keys.db` comes last: what was revoked there does not hold, wherever else it is listed.
        for source in self._sources:
            keys |= {key.id: key for key in source.keys}
        return {
            key.id: _Held(key.digest, key.to_caller(), key.expires_milliseconds)
            for key in keys.values()
            if key.revoked_milliseconds is None
        }

    def _has_expired(self, held: _Held) -> bool:
        return (
            held.expires_milliseconds is not None
            and self._clock.now_milliseconds() >= held.expires_milliseconds
        )


@asynccontextmanager
async def open_key_ring(
    data_dir: Path,
    *,
    lines: Sequence[str],
    lines_file: Path | None,
    stale_seconds: float,
    clock: Clock,
) -> AsyncIterator[ApiKeyCache]:
    """Read the keys, and keep them up to date until the block ends.

    Args:
        data_dir: Where `keys.db` lies, or will lie once the first key is made.
        lines: Keys given as text.
        lines_file: A file of such lines.
        stale_seconds: How long keys go on holding when a file cannot be read any more.
        clock: Tells when to look again, and when a key expires.

    Raises:
        ConfigurationError: A line cannot be read, or `lines_file` cannot.
    """
    try:
        given = list(parse_lines(lines))
    except BadKeyLine as exc:
        raise ConfigurationError(f"API_KEYS, {exc}") from exc
    sources: list[KeySource] = []
    if lines_file is not None:
        sources.append(KeyLinesSource(lines_file, clock, stale_seconds=stale_seconds))
        try:
            await asyncio.to_thread(sources[0].load)
        except NotUtf8 as exc:
            raise ConfigurationError(f"API_KEYS_FILE {exc}") from exc
        except (OSError, ValueError) as exc:
            raise ConfigurationError(f"API_KEYS_FILE, {exc}") from exc
    sources.append(KeyFileSource(data_dir / KEYS_FILE, clock, stale_seconds=stale_seconds))
    ring = ApiKeyCache(given, sources, clock)
    await ring.refresh()
    async with running_tasks(repeating(ring.refresh, seconds=LOOK_SECONDS, clock=clock)):
        yield ring
