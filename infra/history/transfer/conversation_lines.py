"""The lines of `export` and `import` that hold the record of a conversation: `{"conversation": {…}}`, after all others."""

from collections.abc import Mapping

import orjson

from domain.entities.conversation import ConversationRecord
from domain.exceptions import HistoryDamaged
from infra.history.format.conversation_records import document_of_record, record_of_document
from infra.history.format.documents import UnreadableDocument
from infra.history.format.fields import are_items_of
from infra.history.transfer.jsonl_format import InvalidLine

_NAME = "conversation"
_START = b'{"conversation":'


def is_conversation_line(line: bytes) -> bool:
    """Return whether a line holds a record, by its start, which is cheap for any length of line."""
    return b"".join(line[: 2 * len(_START)].split()).startswith(_START)


def line_of_conversation(record: ConversationRecord) -> bytes:
    """Return the line of a record, without its end.

    Raises:
        HistoryDamaged: It contains text that JSON cannot represent.
    """
    try:
        return orjson.dumps({_NAME: document_of_record(record)})
    except orjson.JSONEncodeError as exc:
        raise HistoryDamaged("the record of a conversation cannot be written as JSON") from exc


def read_conversation(line: bytes) -> ConversationRecord:
    """Return the record of a line; raises `InvalidLine` if it is none."""
    try:
        fields = orjson.loads(line)
        if not isinstance(fields, Mapping) or set(fields) != {_NAME}:
            raise InvalidLine("not the record of a conversation alone")
        document = fields[_NAME]
        record = record_of_document(document)
        for added in document.get("items", ()):
            if not are_items_of(added.get("items", []), added["text"]):
                raise InvalidLine("conversation.items: not items that can be stored")
        return record
    except orjson.JSONDecodeError as exc:
        raise InvalidLine("not JSON") from exc
    except UnreadableDocument as exc:
        raise InvalidLine(str(exc)) from exc
