"""The message format of an interaction.

    {"v": 1, "id": "…", "interaction": {…}}       the stored document
    {"v": 2, "id": "…", "zlib": "…"}              the same, compressed and in base64, for long ones
    {"v": 3, …}, {"v": 4, …}                      as 1 and 2, of documents with `ITEM_FIELDS`
    {"v": 5, …}, {"v": 6, …}                      as 1 and 2, of the status `in_progress`

Messages are ASCII, because SQS accepts only the characters that XML allows. `v` selects the reader: all forms are
read, and a new form gets the next number and another reader, so that old and new processes can run at the same time
if workers are updated first. `ITEM_FIELDS` have numbers of their own because a worker of the version before would store
the interaction without them, and `in_progress` because it would not replace it by the outcome; it makes a dead letter of
it, which a redrive returns to the queue after the upgrade.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from domain.entities.interaction import Interaction, Status
from infra.history.format.compression import TooLong, compressed, decompressed
from infra.history.format.documents import (
    Document,
    UnreadableDocument,
    document_of,
    interaction_of,
    json_of_document,
)
from infra.history.format.fields import ITEM_FIELDS, is_well_formed

COMPRESSED_FROM_BYTES = 64 * 1024
MAX_MESSAGE_BYTES = 900 * 1024
MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
"""Limit of a decompressed message, which every store can hold."""


class UnreadableMessage(ValueError):
    """The message has an unknown format or version; the text names which, without its contents."""


async def message_of(interaction: Interaction) -> str | None:
    """Return the message of `interaction`; None if it exceeds the size limit of a queue.

    Raises:
        Unstorable: It cannot be written as JSON.
    """
    document = document_of(interaction)
    if interaction.status is Status.IN_PROGRESS:
        plain, packed_form = 5, 6
    else:
        plain, packed_form = (1, 2) if ITEM_FIELDS.isdisjoint(document) else (3, 4)
    raw = json_of_document(document)
    if not raw.isascii():
        raw = json.dumps(document, separators=(",", ":")).encode()
    head = f'{{"v":%d,"id":{json.dumps(interaction.id)},'
    if len(raw) <= COMPRESSED_FROM_BYTES:
        return f'{head % plain}"interaction":{raw.decode()}}}'
    if len(raw) > MAX_DOCUMENT_BYTES:
        return None
    packed = base64.b64encode(await compressed(raw)).decode()
    if len(packed) > MAX_MESSAGE_BYTES:
        return None
    return f'{head % packed_form}"zlib":"{packed}"}}'


async def interaction_from(body: str) -> Interaction:
    """Return the interaction of a message.

    Raises:
        UnreadableMessage: It holds no interaction that this program can read.
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


_READERS: dict[int, Callable[[Document], Awaitable[Any]]] = {
    1: _plain,
    2: _packed,
    3: _plain,
    4: _packed,
    5: _plain,
    6: _packed,
}
