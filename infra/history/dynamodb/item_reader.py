"""Reading of interactions from items of the DynamoDB table, with the parts of long ones."""

from collections.abc import Sequence

import orjson

from domain.entities.interaction import Interaction
from infra.history.dynamodb.items import body_in, is_erased, part_keys_of
from infra.history.format.documents import UnreadableDocument, interaction_of
from infra.storage.aws.dynamodb_table import Item, Table


async def interactions_in(table: Table, items: Sequence[Item]) -> list[Interaction]:
    """Return the interactions of complete items in their order, without erased ones.

    Raises:
        UnreadableDocument: One is not of a program of this version.
        zlib.error: One is damaged.
    """
    try:
        return [interaction_of(orjson.loads(body)) for body in await bodies_in(table, items)]
    except orjson.JSONDecodeError as exc:
        raise UnreadableDocument("not JSON") from exc


async def bodies_in(table: Table, items: Sequence[Item]) -> list[bytes]:
    """Return the bodies of complete items in their order, without erased ones.

    Raises:
        zlib.error: One is damaged.
    """
    kept = [item for item in items if not is_erased(item)]
    keys = [key for item in kept for key in part_keys_of(item)]
    parts = {part["sk"]["S"]: part for part in await table.get_many(keys)}
    return [
        await body_in(item, parts)
        for item in kept
        # an item and its parts are written together and deleted one by one: without parts it is being erased
        if all(key["sk"]["S"] in parts for key in part_keys_of(item))
    ]
