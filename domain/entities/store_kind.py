"""The stores that history may be kept in."""

from enum import StrEnum


class StoreKind(StrEnum):
    """What keeps history."""

    SQLITE = "sqlite"
    MONGODB = "mongodb"
    DYNAMODB = "dynamodb"
