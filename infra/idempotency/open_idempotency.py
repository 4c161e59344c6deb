"""Where idempotency keys are kept, as configured: beside the history."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from domain.interfaces.clock import Clock
from domain.interfaces.idempotency import IdempotencyStore
from infra.history.open_history import aws_access
from infra.idempotency.sqlite.store import open_sqlite_idempotency
from infra.settings import Settings


def open_claims(settings: Settings, clock: Clock) -> AbstractAsyncContextManager[IdempotencyStore]:
    """Open what the settings name; its driver is imported only here."""
    if settings.dynamodb_table is not None:
        return _open_in_dynamodb(settings, settings.dynamodb_table)
    if settings.mongo_uri is not None:
        from infra.idempotency.mongo import open_mongo_idempotency

        return open_mongo_idempotency(
            settings.mongo_uri.get_secret_value(), database=settings.mongo_db
        )
    return open_sqlite_idempotency(settings.data_dir, clock)


@asynccontextmanager
async def _open_in_dynamodb(settings: Settings, table: str) -> AsyncIterator[IdempotencyStore]:
    from infra.idempotency.dynamodb import DynamoIdempotency
    from infra.storage.aws.client import open_client
    from infra.storage.aws.dynamodb_table import Table

    # The table itself is made with the history that shares it.
    async with open_client("dynamodb", aws_access(settings), tries=2) as dynamodb:
        yield DynamoIdempotency(Table(dynamodb, table))
