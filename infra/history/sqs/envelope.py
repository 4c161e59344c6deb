"""An interaction as a message, and back.

    {"v": 1, "id": "…", "interaction": {…}}       the document that the stores keep
    {"v": 2, "id": "…", "zlib": "…"}              the same, compressed and in base64, when it is long

Messages are ASCII, because SQS takes only the characters XML allows. `v` says which reader a message needs: both are
read side by side, and a new form gets the next number and one more reader, so that old and new processes may run at
the same time as long as workers are replaced first.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from domain.entities.interaction import Interaction
from infra.history.format.compression import TooLong, compressed, decompressed
from infra.history.format.documents import (
    Document,
    UnreadableDocument,
    document_of,
    interaction_of,
    json_of,
)
from infra.history.format.fields import is_well_formed

COMPRESSED_FROM_BYTES = 64 * 1024
MAX_MESSAGE_BYTES = 900 * 1024
MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
"""A message may unpack to no more: any store takes that much."""


class UnreadableMessage(ValueError):
    """Not a message of ours, or of a version this program does not know; its text tells which, and nothing of it."""


async def message_of(interaction: Interaction) -> str | None:
    """Return the message that carries `interaction`; None when it would be longer than a queue takes.

    Raises:
        Unstorable: It cannot be written as JSON.
    """
    raw = json_of(interaction)
    if not raw.isascii():
        raw = json.dumps(document_of(interaction), separators=(",", ":")).encode()
    head = f'{{"v":%d,"id":{json.dumps(interaction.id)},'
    if len(raw) <= COMPRESSED_FROM_BYTES:
        return f'{head % 1}"interaction":{raw.decode()}}}'
    if len(raw) > MAX_DOCUMENT_BYTES:
        return None
    packed = base64.b64encode(await compressed(raw)).decode()
    if len(packed) > MAX_MESSAGE_BYTES:
        return None
    return f'{head % 2}"zlib":"{packed}"}}'


async def interaction_from(body: str) -> Interaction:
    """Return the interaction that a message carries.

    Raises:
        UnreadableMessage: It carries none that this program can read.
    """
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise UnreadableMessage("not JSON") from exc
    version = envelope.get("v") if isinstance(envelope, dict) else None
    reader = _READERS.get(version) if isinstance(version, int) else None
    if reader is None:
        raise UnreadableMessage("not of a version this program knows")
    document = await reader(envelope)
    if not is_well_formed(document):
        raise UnreadableMessage("not an interaction")
    try:
        return interaction_of(document)
    except UnreadableDocument as exc:
        raise UnreadableMessage("not an interaction this program knows") from exc


async def _plain(envelope: Document) -> Any:
    return envelope.get("interaction")


async def _packed(envelope: Document) -> Any:
    try:
        packed = base64.b64decode(envelope["zlib"], validate=True)
        return orjson.loads(await decompressed(packed, max_bytes=MAX_DOCUMENT_BYTES))
    except TooLong as exc:
        raise UnreadableMessage("too long") from exc
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as exc:
        raise UnreadableMessage("damaged") from exc


_READERS: dict[int, Callable[[Document], Awaitable[Any]]] = {1: _plain, 2: _packed}
