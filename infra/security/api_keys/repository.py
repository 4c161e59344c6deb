"""Creates and revokes the API keys in `keys.db`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from domain.entities.api_key import ApiKey, NewApiKey
from domain.entities.caller import Scope
from domain.interfaces.api_key_repository import ApiKeyRepository
from domain.interfaces.clock import Clock
from infra.configuration import ConfigurationError
from infra.security.api_keys.file import (
    KEYS_FILE,
    NewerKeyFile,
    insert_key,
    read_keys,
    revoke_key,
    writing_keys,
)
from infra.security.api_keys.key_format import digest_of, new_key
from infra.security.api_keys.lines import line_of


class FileApiKeyRepository(ApiKeyRepository):
    """The keys in `keys.db` under `data_dir`. Raises `ConfigurationError` if the file cannot be read or written."""

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self._path = data_dir / KEYS_FILE
        self._clock = clock

    def create(
        self,
        *,
        name: str,
        user_id: str | None,
        scopes: frozenset[Scope],
        expires_milliseconds: int | None,
    ) -> NewApiKey:
        key_id, key = new_key()
        record = ApiKey(
            id=key_id,
            digest=digest_of(key.encode()),
            name=name,
            user_id=user_id,
            scopes=scopes,
            created_milliseconds=self._clock.now_milliseconds(),
            expires_milliseconds=expires_milliseconds,
        )
        return NewApiKey(record, key, line_of(record))

    def add(self, record: ApiKey) -> None:
        with self._translate_errors(), writing_keys(self._path) as connection:
            insert_key(connection, record)

    def keys(self) -> Sequence[ApiKey]:
        with self._translate_errors():
            return read_keys(self._path)

    def revoke(self, key_id: str) -> bool:
        if not self._path.exists():
            return False
        with self._translate_errors(), writing_keys(self._path) as connection:
            return revoke_key(connection, key_id, self._clock.now_milliseconds())

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, apsw.Error) as exc:
            raise ConfigurationError(f"{self._path} cannot be read or written: {exc}") from exc
        except NewerKeyFile as exc:
            raise ConfigurationError(
                f"{self._path} was written by a newer version of this program"
            ) from exc
