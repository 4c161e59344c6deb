"""The commands worker and redrive."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from app.cli.parser import CommandFailed
from app.server.metrics_server import serve_metrics
from app.worker import Worker, run_until_signalled
from domain.exceptions import HistoryUnreadable
from domain.exceptions.history import QueueUnavailable
from domain.interfaces.clock import Clock
from domain.use_cases.record_interaction import RecordInteraction
from domain.use_cases.redrive_dead_letters import RedriveDeadLetters, RedriveResult
from infra.clock import SystemClock
from infra.configuration import ConfigurationError
from infra.history.store.durable_store import DurableStore
from infra.logging.unhandled import log_unhandled_in
from infra.product import VERSION
from infra.settings import Settings
from infra.settings.production import refuse_unsafe_stores
from infra.storage.aws.access import AwsAccess, warn_of_plain_endpoint
from infra.stores.registry import configured_store, remote_store_settings, unsafe_stores
from infra.telemetry.metrics.metrics import Metrics
from infra.telemetry.open_telemetry import tracing_of, write_embedded_metrics

if TYPE_CHECKING:
    from infra.history.sqs.consumer import Queues


async def work(settings: Settings) -> None:
    """Move interactions from the queue to the store until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: No queue or no remote store is configured, or the store is unsafe for production.
    """
    refuse_unsafe_stores(settings, unsafe_stores(settings))
    log_unhandled_in(asyncio.get_running_loop())
    clock = SystemClock()
    metrics = Metrics(version=VERSION, environment=settings.environment)
    async with (
        serve_metrics(metrics.render, clock, host=settings.host, port=settings.metrics_port),
        tracing_of(settings) as tracing,
        _queues(settings, clock) as (queues, store),
        metrics.watching_queues(queues.queue.count, queues.dead_letters.count, clock),
        write_embedded_metrics(settings, metrics, clock),
    ):
        observer = metrics.count_queue()
        if tracing:
            observer = tracing.traced_messages(observer, str(settings.sqs_queue_url))
        record = RecordInteraction(queues.queue, store, clock, observer)
        await run_until_signalled(Worker(record, queues.queue, clock))


async def redrive(
    settings: Settings, *, is_dry_run: bool, progress: Callable[[int, int], None]
) -> RedriveResult:
    """Move dead letters back to the queue, except those that were erased or cannot be read.

    Raises:
        ConfigurationError: No queue or no remote store is configured.
        CommandFailed: The queue or the store does not answer; completed steps are not undone.
    """
    clock = SystemClock()
    async with _queues(settings, clock) as (queues, store):
        redrive_dead_letters = RedriveDeadLetters(queues.dead_letters, store, clock)
        try:
            return await redrive_dead_letters(is_dry_run=is_dry_run, progress=progress)
        except (QueueUnavailable, HistoryUnreadable) as error:
            raise CommandFailed(
                "the queue or the store does not answer; messages already moved stay in the queue. Run it again later"
            ) from error


@asynccontextmanager
async def _queues(settings: Settings, clock: Clock) -> AsyncIterator[tuple["Queues", DurableStore]]:
    store = configured_store(settings)
    if settings.sqs_queue_url is None or store.is_embedded:
        raise ConfigurationError(
            f"set SQS_QUEUE_URL, and {remote_store_settings()}: the queue or the remote store is not configured"
        )
    from infra.history.sqs.consumer import open_queues
    from infra.history.sqs.queue_setup import SqsNames

    names = SqsNames.from_urls(settings.sqs_queue_url, settings.sqs_dlq_url)
    warn_of_plain_endpoint(settings)
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(store.open(settings, clock))
        queues = await stack.enter_async_context(
            open_queues(AwsAccess.from_settings(settings), names, clock=clock)
        )
        yield queues, opened.history
