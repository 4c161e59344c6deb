"""The items of event logs in the DynamoDB table.

    pk                   sk                 holds
    AH#<user>            <id>               a log: when it began and ended
    A#<user>             <id>!01            a part of its request
    A#<user>             <id>#00000007      a chunk
    A#<user>             <id>#00000007#01   a part of a chunk that is too long for one item
    answer-leases#<n>    <user>#<id>        the lease of a log without an end, spread over eight partitions

A query of `<id>` in `A#<user>` returns a log in order, the parts of a chunk behind it. The items of logs are apart, so
that the logs of a user are listed without reading the texts.
"""

import zlib
from collections.abc import Iterable, Iterator

from domain.entities.background.answer import AnswerKey
from infra.answers.chunks import Chunk
from infra.answers.logs import ERASED_EPOCH, StoredChunk
from infra.history.format.documents import UnreadableDocument
from infra.storage.aws.dynamodb_table import Item

LEASE_PARTITIONS = [f"answer-leases#{number}" for number in range(8)]
PART_BYTES = 300 * 1024


def header_key(key: AnswerKey) -> Item:
    """Return the key of the item of a log."""
    return {"pk": {"S": header_partition(key.user_id)}, "sk": {"S": key.interaction_id}}


def header_partition(user_id: str) -> str:
    """Return the partition that has one item for each log of a user."""
    return f"AH#{user_id}"


def lease_key(key: AnswerKey) -> Item:
    """Return the key of the lease of a log."""
    number = zlib.crc32(key.interaction_id.encode()) % len(LEASE_PARTITIONS)
    return {
        "pk": {"S": LEASE_PARTITIONS[number]},
        "sk": {"S": f"{key.user_id}#{key.interaction_id}"},
    }


def key_of_lease(item: Item) -> AnswerKey:
    """Return the log of a lease's item."""
    user_id, _, interaction_id = item["sk"]["S"].rpartition("#")
    return AnswerKey(user_id=user_id, interaction_id=interaction_id)


def chunk_key(key: AnswerKey, position: int) -> Item:
    """Return the key of a chunk."""
    return {
        "pk": {"S": f"A#{key.user_id}"},
        "sk": {"S": f"{key.interaction_id}#{position:08d}"},
    }


def request_key(key: AnswerKey, number: int) -> Item:
    """Return the key of part 1, 2 and so on of a request."""
    return {
        "pk": {"S": f"A#{key.user_id}"},
        "sk": {"S": f"{key.interaction_id}!{number:02d}"},
    }


def request_items(key: AnswerKey, request: bytes) -> list[Item]:
    """Return the parts of a request."""
    return [request_key(key, number) | {"body": {"B": part}} for number, part in _parts(request)]


def chunk_items(chunk: Chunk, *, written_milliseconds: int, expires_seconds: int) -> list[Item]:
    """Return the item of a chunk, and those of its parts."""
    item = chunk_key(chunk.key, chunk.position) | {
        "epoch": {"N": str(chunk.epoch)},
        "first": {"N": str(chunk.first_number)},
        "next": {"N": str(chunk.next_number)},
        "count": {"N": str(chunk.count)},
        "at": {"N": str(written_milliseconds)},
    }
    if chunk.is_last:
        item["isLast"] = {"BOOL": True}
    parts: list[Item] = []
    if len(chunk.body) > PART_BYTES:
        parts = [
            {
                "pk": item["pk"],
                "sk": {"S": f"{item['sk']['S']}#{number:02d}"},
                "body": {"B": part},
            }
            for number, part in _parts(chunk.body)
        ]
    else:
        item["body"] = {"B": chunk.body}
    for each in (item, *parts):
        each["expiresAt"] = {"N": str(expires_seconds)}
    return [item, *parts]


def blank_item(
    key: AnswerKey, *, position: int, epoch: int, number: int, expires_seconds: int
) -> Item:
    """Return a chunk without records, which takes the position where an older lease would write."""
    return chunk_key(key, position) | {
        "epoch": {"N": str(epoch)},
        "first": {"N": str(number)},
        "next": {"N": str(number)},
        "count": {"N": "0"},
        "body": {"B": b"[]"},
        "expiresAt": {"N": str(expires_seconds)},
    }


def blank_of(item: Item, expires_seconds: int) -> Item:
    """Return the chunk without records that takes the place of an erased one."""
    return {
        "pk": item["pk"],
        "sk": item["sk"],
        "epoch": {"N": str(ERASED_EPOCH)},
        "first": item["first"],
        "next": item["next"],
        "count": {"N": "0"},
        "body": {"B": b"[]"},
        "expiresAt": {"N": str(expires_seconds)},
    }


def chunk_in(item: Item) -> StoredChunk:
    """Return the chunk of an item, without its parts."""
    return StoredChunk(
        position=int(item["sk"]["S"].rpartition("#")[2]),
        epoch=int(item["epoch"]["N"]),
        first_number=int(item["first"]["N"]),
        next_number=int(item["next"]["N"]),
        count=int(item["count"]["N"]),
        is_last="isLast" in item,
        written_milliseconds=int(item["at"]["N"]) if "at" in item else None,
        body=item["body"]["B"] if "body" in item else b"",
    )


def is_chunk(item: Item) -> bool:
    """Return whether the item is a chunk, and not a part of one or of a request."""
    return str(item["sk"]["S"]).count("#") == 1


def chunks_in(items: Iterable[Item]) -> list[StoredChunk]:
    """Return the chunks of items in the order of a query; the last one may lack parts that follow.

    Raises:
        UnreadableDocument: There is a part without its chunk.
    """
    chunks: list[StoredChunk] = []
    for item in items:
        if is_chunk(item):
            chunks.append(chunk_in(item))
        elif chunks:
            chunks[-1].body += item["body"]["B"]
        else:
            raise UnreadableDocument("a part without its chunk")
    return chunks


def _parts(body: bytes) -> Iterator[tuple[int, bytes]]:
    for number, start in enumerate(range(0, len(body), PART_BYTES), start=1):
        yield number, body[start : start + PART_BYTES]
