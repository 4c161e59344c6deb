"""Page cursors signed by the service."""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path

import orjson

from domain.entities.history_query import HistoryQuery
from domain.exceptions import InvalidCursor
from domain.interfaces.cursor_codec import CursorCodec, PageQuery
from infra.configuration import ConfigurationError
from infra.operator_text import text_of
from infra.security.sealing import AesSivSealer
from infra.settings.access import AccessSettings
from infra.storage.private_files import make_private_folder, sync_folder

_VERSION = 1
_SIGNATURE_BYTES = hashlib.sha256().digest_size
_FINGERPRINT_BYTES = 12
_SECRET_BYTES = 32


class SignedCursors(CursorCodec):
    """base64url of a JSON object and its HMAC-SHA256.

    The object is `{"v": 1, "u": user, "f": filter and order, "k": last id}`; user and filter are keyed fingerprints, so
    that a cursor reveals neither and is valid only for its query. The page size is not part of it and may change from
    page to page.
    """

    def __init__(self, secret: bytes) -> None:
        if not secret:
            raise ValueError("a cursor needs a secret")
        self._secret = secret

    def encode(self, query: PageQuery, next_id: str) -> str:
        body = orjson.dumps(self._bound_to(query) | {"k": next_id})
        return base64.urlsafe_b64encode(body + self._sign(body)).rstrip(b"=").decode()

    def decode(self, query: PageQuery, cursor: str) -> str:
        sealed = _decoded(cursor)
        body, signature = sealed[:-_SIGNATURE_BYTES], sealed[-_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(body)):
            raise InvalidCursor
        fields = orjson.loads(body)  # trusted, since the signature is valid
        next_id = fields.pop("k", None)
        if not isinstance(next_id, str) or fields != self._bound_to(query):
            raise InvalidCursor
        return next_id

    def _bound_to(self, query: PageQuery) -> dict[str, int | str]:
        return {
            "v": _VERSION,
            "u": self._fingerprint(b"user", query.user_id.encode()),
            "f": self._fingerprint(b"filter", orjson.dumps(_shape(query))),
        }

    def _fingerprint(self, kind: bytes, content: bytes) -> str:
        digest = hmac.digest(self._secret, kind + b"\0" + content, "sha256")
        return digest[:_FINGERPRINT_BYTES].hex()

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, b"cursor\0" + body, "sha256")


def _shape(query: PageQuery) -> list[object]:
    """Return the properties that all pages of one listing share."""
    if not isinstance(query, HistoryQuery):
        return ["conversations"]
    wanted = query.filter
    return [
        query.order.value,
        wanted.model,
        wanted.provider,
        wanted.conversation_id,
        sorted(wanted.statuses),
        wanted.from_id,
        wanted.to_id,
        *sorted(wanted.words),
    ]


def configured_cursors(settings: AccessSettings) -> SignedCursors:
    """Return cursors signed with CURSOR_SECRET, else with a secret in DATA_DIR, which is created if missing.

    Raises:
        ConfigurationError: The secret can be neither read nor created.
    """
    return SignedCursors(_secret(settings))


def configured_sealer(settings: AccessSettings) -> AesSivSealer:
    """Return a sealer under the same secret as the cursors; raises as `configured_cursors` does."""
    return AesSivSealer(_secret(settings))


def _secret(settings: AccessSettings) -> bytes:
    if settings.cursor_secret is not None:
        return settings.cursor_secret.get_secret_value().encode()
    return load_or_make_secret(settings.data_dir / "cursor.secret")


def load_or_make_secret(path: Path) -> bytes:
    """Return the secret in `path`; create it with mode 0600 if missing, safely with concurrent processes.

    Raises:
        ConfigurationError: The file cannot be read or written, or does not contain a secret.
    """
    try:
        if not path.exists():
            _make_secret(path)
        secret = bytes.fromhex(text_of(path.read_bytes()))
    except (OSError, ValueError) as exc:
        raise ConfigurationError(
            f"{path} cannot be read or made: set CURSOR_SECRET, or remove it ({exc})"
        ) from exc
    if len(secret) < _SECRET_BYTES:
        raise ConfigurationError(f"{path} is not a secret: set CURSOR_SECRET, or remove it")
    return secret


def _make_secret(path: Path) -> None:
    make_private_folder(path.parent)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)  # unlike a rename, fails if another process created the file
        except FileExistsError:
            return
        sync_folder(path.parent)
    finally:
        fresh.unlink()


def _decoded(cursor: str) -> bytes:
    """Return the bytes of a cursor in the exact form that `encode` returns."""
    try:
        sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidCursor from exc
    if base64.urlsafe_b64encode(sealed).rstrip(b"=").decode() != cursor:
        raise InvalidCursor  # another encoding of the same bytes
    return sealed
