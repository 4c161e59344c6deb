"""The items of the DynamoDB table and their conversion.

    pk           sk            holds
    U#<user>     <id>          an interaction, or its tombstone
    P#<user>     <id>#0001     a part of a body that is too long for one item
    E#<user>     all           the tombstone of all of a user's interactions below an id
    R#<user>     <id>          the record of a conversation (conversation_records.py)

The id sorts by time, serves as the cursor and makes writes idempotent. A user id never contains a `#`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.entities.interaction import Interaction
from domain.exceptions import Unstorable
from infra.history.format.compression import compressed, decompressed
from infra.history.queries.aggregates import whole_milliseconds
from infra.history.store.retention import FOR_EVER, Retention
from infra.storage.aws.dynamodb_table import Item

COMPRESSED_FROM_BYTES = 1024
PART_BYTES = 300 * 1024
MAX_PACKED_BYTES = 3_900_000
"""An item and its parts are written in one transaction of at most 4 MB."""
HAS_USAGE = "hasUsage"
"""Attribute of items that have all figures; those of earlier versions lack some."""
_COST_DECIMALS = 12  # DynamoDB's numbers have a smaller range than floats
MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """The items of one interaction.

    Attributes:
        parts: Parts of a long body, written in the same transaction.
    """

    user_id: str
    id: str
    status: str
    item: Item
    parts: tuple[Item, ...] = ()

    @property
    def key(self) -> Item:
        """Return the key of the item."""
        return key_of(self.user_id, self.id)


def key_of(user_id: str, interaction_id: str) -> Item:
    """Return the key of an interaction."""
    return {"pk": {"S": f"U#{user_id}"}, "sk": {"S": interaction_id}}


def part_key(user_id: str, interaction_id: str, number: int) -> Item:
    """Return the key of part 1, 2 and so on of an interaction's body."""
    return {"pk": {"S": f"P#{user_id}"}, "sk": {"S": f"{interaction_id}#{number:04d}"}}


def mark_key(user_id: str) -> Item:
    """Return the key of the tombstone of all of a user's interactions."""
    return {"pk": {"S": f"E#{user_id}"}, "sk": {"S": "all"}}


async def row_of(interaction: Interaction, body: bytes, retention: Retention = FOR_EVER) -> Row:
    """Return the items of `interaction`.

    Args:
        interaction: The interaction, for keys and filtered attributes.
        body: Its document as JSON, which may have fields that this program does not know.
        retention: Time to expiry.

    Raises:
        Unstorable: Even compressed it exceeds the limit of a transaction.
    """
    user_id = interaction.user_id
    item = key_of(user_id, interaction.id) | {
        "status": {"S": interaction.status.value},
        "model": {"S": interaction.model},
        "userModel": {"S": f"{user_id}#{interaction.model}"},
        **figures_of(interaction),
    }
    if interaction.is_answered:
        item["answered"] = {"BOOL": True}
    if interaction.provider is not None:
        item["provider"] = {"S": interaction.provider}
    if interaction.conversation_id is not None:
        item["userConversation"] = {"S": f"{user_id}#{interaction.conversation_id}"}
        item["turnOf"] = {"S": user_id}
    if len(body) > COMPRESSED_FROM_BYTES:
        body = await compressed(body)
        item["packed"] = {"BOOL": True}
    if len(body) > MAX_PACKED_BYTES:
        raise Unstorable("longer than DynamoDB takes at once")
    parts: tuple[Item, ...] = ()
    if len(body) > PART_BYTES:
        starts = range(0, len(body), PART_BYTES)
        parts = tuple(
            part_key(user_id, interaction.id, number)
            | {"body": {"B": body[start : start + PART_BYTES]}}
            for number, start in enumerate(starts, start=1)
        )
        item["parts"] = {"N": str(len(parts))}
    else:
        item["body"] = {"B": body}
    expires_milliseconds = retention.expires_milliseconds(interaction.id)
    if expires_milliseconds is not None:
        for stored_item in (item, *parts):
            stored_item["expiresAt"] = {"N": str(expires_milliseconds // 1000)}
    return Row(user_id, interaction.id, interaction.status.value, item, parts)


def figures_of(interaction: Interaction) -> Item:
    """Return the figures for statistics and usage as attributes of an item, so that these read no bodies."""
    usage = interaction.usage
    figures = {
        "milliseconds": whole_milliseconds(interaction.latency_seconds),
        "inputTokens": usage.input_tokens,
        "cachedInputTokens": usage.cached_input_tokens,
        "cacheWriteTokens": usage.cache_write_tokens,
        "outputTokens": usage.output_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "costUsd": None if usage.cost_usd is None else round(usage.cost_usd, _COST_DECIMALS),
    }
    item: Item = {name: {"N": str(value)} for name, value in figures.items() if value is not None}
    item[HAS_USAGE] = {"BOOL": True}
    if interaction.credential is not None:
        item["credential"] = {"S": interaction.credential}
    return item


def is_erased(item: Item) -> bool:
    """Return whether the item is a tombstone."""
    return "erased" in item


def conversation_in(item: Item) -> str:
    """Return the conversation of an item that has one."""
    return str(item["userConversation"]["S"]).partition("#")[2]


def part_keys_of(item: Item) -> list[Item]:
    """Return the keys of the parts of its body; most items have none."""
    if "parts" not in item:
        return []
    user_id, interaction_id = item["pk"]["S"].removeprefix("U#"), item["sk"]["S"]
    return [
        part_key(user_id, interaction_id, number)
        for number in range(1, int(item["parts"]["N"]) + 1)
    ]


async def body_in(item: Item, parts: Mapping[str, Item]) -> bytes:
    """Return the body of an item, as JSON.

    Args:
        item: The item of an interaction, not a tombstone.
        parts: Parts by sort key, including all of this item.

    Raises:
        KeyError: A part is missing.
        zlib.error: The body is damaged.
    """
    keys = part_keys_of(item)
    chunks = [parts[key["sk"]["S"]]["body"]["B"] for key in keys] or [item["body"]["B"]]
    body = b"".join(chunks)
    if "packed" in item:
        body = await decompressed(body, max_bytes=MAX_BODY_BYTES)
    return body
