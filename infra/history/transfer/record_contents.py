"""The contents that a stored record refers to."""

from collections.abc import Mapping, Sequence

from domain.entities.items import LONG_TEXT_BYTES, Attachment
from domain.entities.stored_record import Record
from domain.interfaces.attachments import ContentReader
from domain.use_cases.load_contents import LoadContents
from infra.history.format.documents import interaction_in, record_of
from infra.history.format.items import ATTACHMENT
from infra.history.transfer.long_texts import join_long_texts, separate_long_texts

# Quotes within texts are escaped in JSON, so these are found in names of fields and types of items alone.
_NAME_ENDS = b'ontentId"'
_ATTACHMENT_TYPE = f'"{ATTACHMENT}"'.encode()


class ContentsNotConfigured(Exception):
    """Interactions refer to contents, and the settings do not name the place of these."""


def may_have_contents(record: Record) -> bool:
    """Return whether a record may refer to contents; most do not, and need not be parsed."""
    return _NAME_ENDS in record.body or _ATTACHMENT_TYPE in record.body


def content_ids_of(record: Record) -> Sequence[str]:
    """Return the ids of the contents that a record refers to.

    Raises:
        UnreadableDocument: It is not an interaction, or has a newer version.
    """
    return interaction_in(record).content_ids if may_have_contents(record) else ()


def attachment_ids_of(record: Record) -> Sequence[str]:
    """Return the ids of those contents that are attachments.

    Raises:
        UnreadableDocument: It is not an interaction, or has a newer version.
    """
    if _ATTACHMENT_TYPE not in record.body:
        return ()
    ids = [
        item.id
        for message in interaction_in(record).prompt.messages
        for item in message.items
        if isinstance(item, Attachment) and item.id is not None
    ]
    return tuple(dict.fromkeys(ids))


async def with_long_texts(record: Record, contents: ContentReader) -> Record:
    """Return a record with its long texts in it, which are empty where they are no longer stored.

    Raises:
        UnreadableDocument: It is not an interaction, or has a newer version.
        HistoryUnreadable: The contents cannot be read.
    """
    if _NAME_ENDS not in record.body:
        return record
    [loaded] = await LoadContents(contents)([interaction_in(record)])
    return record_of(join_long_texts(loaded))


def without_long_texts(record: Record) -> tuple[Record, Mapping[str, bytes]]:
    """Return a record with the ids of its long texts, and these texts by id. It has no fields of later versions."""
    if len(record.body) < LONG_TEXT_BYTES:
        return record, {}
    interaction, texts = separate_long_texts(interaction_in(record))
    return (record_of(interaction), texts) if texts else (record, texts)
