"""The valid API keys, in memory."""

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
"""Interval of reading the sources; changes take effect within two intervals."""

_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class _Held:
    digest: bytes
    caller: Caller
    expires_milliseconds: int | None


class ApiKeyCache:
    """Authenticates keys from memory; a background task keeps them up to date."""

    def __init__(self, given: Sequence[ApiKey], sources: Sequence[KeySource], clock: Clock) -> None:
        """Create the cache of the `given` keys and those of `sources`; call `refresh` before the first use."""
        self._given = given
        self._sources = sources
        self._clock = clock
        self._held: dict[str, _Held] = {}

    def known_caller(self, key: bytes) -> Caller | None:
        """Return the caller of `key`; None if the key is not valid, or cannot be checked."""
        try:
            return self.authenticate(key)
        except (Unauthenticated, AuthUnavailable):
            return None

    def authenticate(self, key: bytes) -> Caller:
        """Return the caller of `key`.

        Raises:
            Unauthenticated: The key is unknown, revoked or expired.
            AuthUnavailable: Keys cannot be read, and those last read are too old.
        """
        for source in self._sources:
            if source.degraded is not None and not source.is_known:
                raise AuthUnavailable
        key_id = key_id_of(key)
        held = None if key_id is None else self._held.get(key_id)
        # Also compared for unknown ids, so that the response time does not reveal them.
        matches = hmac.compare_digest(digest_of(key), _NO_DIGEST if held is None else held.digest)
        if held is None or not matches or self._has_expired(held):
            raise Unauthenticated(were_given=True)
        return held.caller

    def degraded(self) -> Sequence[Degraded]:
        """Return the sources that cannot be read."""
        return [source.degraded for source in self._sources if source.degraded is not None]

    async def refresh(self) -> None:
        """Read the changed sources; keys of a source that cannot be read are left unchanged."""
        changed = [await asyncio.to_thread(source.reload) for source in self._sources]
        if any(changed) or not self._held:
            self._held = self._merged()

    def _merged(self) -> dict[str, _Held]:
        keys = {key.id: key for key in self._given}
        # `keys.db` comes last, so that a key revoked there is not valid, wherever else it is listed.
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
async def open_api_key_cache(
    data_dir: Path,
    *,
    lines: Sequence[str],
    lines_file: Path | None,
    stale_seconds: float,
    clock: Clock,
) -> AsyncIterator[ApiKeyCache]:
    """Read the keys, and keep them up to date until the block ends.

    Args:
        data_dir: Folder of `keys.db`, which may not exist yet.
        lines: Keys as lines of text.
        lines_file: File of such lines.
        stale_seconds: Time for which keys stay valid after their file can no longer be read.
        clock: Clock for the interval and for the expiry of keys.

    Raises:
        ConfigurationError: `lines_file` cannot be read, or a line is not valid.
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
    cache = ApiKeyCache(given, sources, clock)
    await cache.refresh()
    async with running_tasks(repeating(cache.refresh, seconds=LOOK_SECONDS, clock=clock)):
        yield cache
