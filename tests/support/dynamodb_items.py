"""Items of a DynamoDB table."""

import random
from typing import Any

from infra.storage.aws.client import open_client
from tests.support.aws_emulator import shared_emulator


async def items_in(table: str) -> list[dict[str, Any]]:
    """Return all that is in a table, as DynamoDB has it."""
    found: list[dict[str, Any]] = []
    start: dict[str, Any] = {}
    async with open_client("dynamodb", shared_emulator().access, tries=1) as dynamodb:
        while True:
            page = await dynamodb("scan", TableName=table, **start)
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def noise(characters: int, seed: int = 1) -> str:
    """Return a text that hardly compresses: four bytes a character, of which some twenty bits are chance."""
    chance = random.Random(seed)
    return "".join([chr(chance.randrange(0x10000, 0x110000)) for _ in range(characters)])
