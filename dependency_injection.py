"""The wiring: the only file that knows every class. Opens nothing when imported."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from pathlib import Path
from typing import TYPE_CHECKING

import dotenv
from pydantic import ValidationError
from starlette.types import ASGIApp

from app.application import Limits, Options, create_app
from app.cli import EXIT_CONFIGURATION, EXIT_FAILED, CommandFailed
from app.container import Container
from app.history_commands import ExportOrder, ImportOrder
from app.lifecycle import Lifecycle
from app.middleware.gate import GateRules
from app.server import CannotListen, ServeOptions, serving_beside
from app.services.chat_service import ChatLimits, ChatService
from app.services.history_service import HistoryService
from app.services.model_service import ModelService
from app.services.once_per_key import OncePerKey
from app.services.spending import Spending
from app.side_door import side_door
from app.worker import Worker, run_until_signalled
from domain.entities.checksum import Checksum
from domain.entities.copy_progress import CopyProgress
from domain.entities.store_kind import StoreKind
from domain.exceptions import HistoryError, HistoryUnreadable
from domain.exceptions.history import QueueUnavailable
from domain.interfaces.clock import Clock
from domain.interfaces.credentials import Authenticator
from domain.interfaces.cursor_codec import CursorCodec
from domain.interfaces.health import Health
from domain.interfaces.history import HistoryRepository, HistoryWriter
from domain.interfaces.idempotency import IdempotencyStore
from domain.interfaces.key_book import KeyBook
from domain.interfaces.llm_client import LLMClient
from domain.interfaces.model_catalogue import ModelCatalogue
from domain.interfaces.telemetry import RequestTracer
from domain.use_cases.answer_prompt import AnswerPrompt
from domain.use_cases.copy_history import CopyHistory
from domain.use_cases.erase_history import EraseHistory
from domain.use_cases.export_history import ExportHistory
from domain.use_cases.list_conversations import ListConversations
from domain.use_cases.list_models import ListModels
from domain.use_cases.read_interaction import ReadInteraction
from domain.use_cases.recall_conversation import RecallConversation
from domain.use_cases.record_interaction import RecordInteraction
from domain.use_cases.redrive_dead_letters import RedriveDeadLetters, Redriven
from domain.use_cases.search_history import SearchHistory
from domain.use_cases.summarise_history import SummariseHistory
from infra.clock import SystemClock
from infra.configuration import ConfigurationError
from infra.history.archives import configured_kind, open_archive, open_archive_reader
from infra.history.backup import BackupFailed
from infra.history.backup import back_up as copy_store
from infra.history.configured_history import (
    aws_access,
    has_store,
    open_history,
    open_store,
    retention_of,
)
from infra.history.copy_file import CopyFile
from infra.history.documents import UnreadableDocument
from infra.history.durable_store import DurableStore
from infra.history.export_file import ExportFailed, export_to
from infra.history.interaction_file import InteractionFile
from infra.history.interaction_lines import InvalidLine, digest_of_line
from infra.history.outbox import Outbox
from infra.history.retention import RetainedHistory
from infra.history.sqlite import HISTORY_FILE
from infra.history.store_source import StoreSource, digest_of
from infra.idempotency.sqlite import open_sqlite_idempotency
from infra.ids import InteractionIds
from infra.llm.chain import open_llm
from infra.llm.configured_models import load_catalogue
from infra.logging.configuration import configure_logging
from infra.logging.unhandled import log_unhandled_in
from infra.production import refuse_unsafe, refuse_unsafe_stores
from infra.security.access import open_access
from infra.security.cursors import SignedCursors, load_or_make_secret
from infra.security.key_book import FileKeyBook
from infra.security.request_limits import MemoryRateLimiter
from infra.security.token_budget import MemoryTokenBudget
from infra.settings import Settings
from infra.telemetry.health import ServiceHealth
from infra.telemetry.metrics import Metrics
from infra.telemetry.outbox_metrics import OutboxFigures
from infra.telemetry.provider_names import open_telemetry_name

if TYPE_CHECKING:
    from infra.history.sqs_queue import Queues
    from infra.telemetry.tracing.tracing import Tracing

SERVICE_NAME = "rt-genai"
VERSION = "0.1.0"
HOST_READ_SECONDS = 1.0
METRICS_CONNECTIONS = 32


def read_settings() -> Settings:
    """Return the settings of the environment and `.env`.

    Raises:
        ConfigurationError: One of them is not valid; named, without its value.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = [
            f"{'.'.join(str(part) for part in one['loc']).upper()}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigurationError("; ".join(wrong)) from error


def log_as_configured(settings: Settings) -> None:
    """Let everything the process says go through one formatter."""
    configure_logging(
        settings.log_level,
        service_name=SERVICE_NAME,
        version=VERSION,
        environment=settings.environment,
        log_format=settings.log_format,
    )


def application(settings: Settings, lifecycle: Lifecycle | None = None) -> ASGIApp:
    """Return the HTTP application; its parts are opened when a server starts it."""
    options = Options(
        version=VERSION,
        provider_name=open_telemetry_name,
        gate=_gate_rules(settings),
        cors_origins=settings.cors_origins,
        docs_enabled=settings.docs_enabled,
        metrics_enabled=settings.metrics_port is None,
        console_enabled=settings.console_enabled,
        caller_requests_per_minute=settings.caller_requests_per_minute,
        limits=Limits(body_bytes=settings.max_body_bytes, json_depth=settings.max_json_depth),
    )
    return create_app(options, lambda: running(settings), lifecycle)


def _gate_rules(settings: Settings) -> GateRules:
    if settings.authentication != "none":
        return GateRules.with_authentication(allowed_hosts=settings.allowed_hosts)
    return GateRules.without_authentication(
        allow_anonymous=settings.allow_anonymous,
        allowed_hosts=settings.allowed_hosts,
        trusted_proxies=settings.trusted_proxies,
    )


def serve_options(settings: Settings) -> ServeOptions:
    """Return what the server is told."""
    return ServeOptions(
        host=settings.host,
        port=settings.port,
        max_connections=settings.max_connections,
        max_header_bytes=settings.max_header_bytes,
        max_url_bytes=settings.max_url_bytes,
        header_receipt_seconds=settings.header_receipt_seconds,
        body_receipt_seconds=settings.body_receipt_seconds,
        write_stall_seconds=settings.write_stall_seconds,
        keep_alive_seconds=settings.keep_alive_seconds,
        unready_seconds=settings.unready_seconds,
        shutdown_grace_seconds=settings.shutdown_grace_seconds,
    )


def exit_code_of(error: BaseException) -> int | None:
    """Return the exit code for what kept a process from starting; None for what nobody foresaw."""
    if isinstance(error, ConfigurationError):
        return EXIT_CONFIGURATION
    return EXIT_FAILED if isinstance(error, CannotListen) else None


def back_up(
    settings: Settings, file: Path, *, overwrite: bool, progress: Callable[[int, int], None]
) -> int:
    """Copy the embedded store to `file` and return the copy's size in bytes."""
    try:
        return copy_store(
            settings.data_dir / HISTORY_FILE, file, overwrite=overwrite, progress=progress
        )
    except BackupFailed as error:
        raise CommandFailed(str(error)) from error


async def import_history(
    settings: Settings, order: ImportOrder, progress: Callable[[int, int], None]
) -> CopyProgress:
    """Bring a file's interactions into the configured store, or only look whether that can be done.

    Raises:
        ConfigurationError: The embedded store is in use by the service.
        CommandFailed: A line is no interaction, the file cannot be read, or the store does not answer.
    """
    clock = SystemClock()
    source = InteractionFile(order.file, order.skip)
    with _copying():
        if order.is_dry_run:
            return await source.looked_through(progress)
        fingerprint = source.fingerprint()  # before a store is made for a file that is not there
        async with open_archive(configured_kind(settings), settings, clock) as target:
            state = CopyFile(settings.data_dir, fingerprint, target.name)
            copy = CopyHistory(source, target.archive, state, digest_of_line, clock)
            return await copy(progress)


async def export_history(
    settings: Settings, order: ExportOrder, progress: Callable[[int, int], None]
) -> Checksum:
    """Write the configured store, or one user's part of it, to a file.

    Raises:
        ConfigurationError: Two stores are configured.
        CommandFailed: There is nothing to export, the store does not answer, or the file cannot be written.
    """
    kind = configured_kind(settings)
    _refuse_nothing(kind, settings)
    with _copying():
        async with open_archive_reader(kind, settings, SystemClock()) as store:
            return await export_to(
                order.file,
                store.reader,
                store_name=store.name,
                user_id=order.user_id,
                overwrite=order.overwrite,
                progress=progress,
            )


async def migrate(
    settings: Settings,
    source: StoreKind,
    target: StoreKind,
    progress: Callable[[int, int], None],
) -> CopyProgress:
    """Copy history from one store to another.

    Raises:
        ConfigurationError: One of them is not configured, or the embedded one is in use by the service.
        CommandFailed: They are the same, or one does not answer.
    """
    if source is target:
        raise CommandFailed(f"{source} to {target} is no migration; copy it with its own means")
    _refuse_nothing(source, settings)
    clock = SystemClock()
    with _copying():
        async with (
            open_archive(source, settings, clock) as opened,
            open_archive(target, settings, clock) as into,
        ):
            state = CopyFile(settings.data_dir, opened.name, into.name)
            copy = CopyHistory(StoreSource(opened.archive), into.archive, state, digest_of, clock)
            return await copy(progress)


def _refuse_nothing(source: StoreKind, settings: Settings) -> None:
    file = settings.data_dir / HISTORY_FILE
    if source is StoreKind.SQLITE and not file.is_file():
        raise CommandFailed(f"{file} does not exist: set DATA_DIR to where history is")


@contextmanager
def _copying() -> Iterator[None]:
    """Turn what a copy fails with into one line that says what to do next."""
    try:
        yield
    except (InvalidLine, ExportFailed, UnreadableDocument, OSError) as error:
        raise CommandFailed(str(error)) from error
    except HistoryError as error:
        cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
        raise CommandFailed(
            f"{error}{cause}; what was copied so far stays, and running it again goes on from there"
        ) from error


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Container]:
    """Open the real adapters, hand over the services, close everything in reverse."""
    log_unhandled_in(asyncio.get_running_loop())
    clock = SystemClock()
    catalogue = load_catalogue(settings, _environment(), clock)
    refuse_unsafe(settings, catalogue)
    metrics = Metrics(version=VERSION, environment=settings.environment)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_serving_figures(settings, metrics))
        tracing = await stack.enter_async_context(_tracing(settings))
        access = await stack.enter_async_context(open_access(settings, clock))
        history = await stack.enter_async_context(
            open_history(settings, clock, traceparent=tracing.traceparent)
            if tracing
            else open_history(settings, clock)
        )
        claims = await stack.enter_async_context(_open_claims(settings, clock))
        llm = await stack.enter_async_context(
            open_llm(
                catalogue,
                settings,
                clock=clock,
                observer=tracing.attempts_beside(metrics) if tracing else metrics,
                following=[tracing.calls()] if tracing else [],
            )
        )
        container = wire(
            settings,
            llm=llm.client,
            catalogue=catalogue,
            history=_shown(settings, history.repository, clock),
            keeping=(
                tracing.accepts_of(history.repository, is_queue=settings.sqs_queue_url is not None)
                if tracing
                else history.repository
            ),
            tracer=tracing.requests if tracing else None,
            claims=claims,
            authenticator=access.authenticator,
            cursors=SignedCursors(_cursor_secret(settings)),
            clock=clock,
            metrics=metrics,
            health=ServiceHealth(
                history.repository,
                llm.health,
                lambda: [*access.degraded(), *history.degraded()],
            ),
            history_lag_seconds=history.lag_seconds,
        )
        metrics.watch_routes(llm.health)
        loop = asyncio.get_running_loop()
        metrics.watch_tasks(lambda: len(asyncio.all_tasks(loop)))
        metrics.watch_chats_in_flight(
            lambda: container.chat.chats_under_way, limit=settings.max_concurrent_chats
        )
        if (outbox := history.outbox) is not None:
            outbox.watch_deliveries(metrics.watch_outbox(lambda: _figures_of(outbox), clock))
        await stack.enter_async_context(_writing_figures(settings, metrics, clock))
        stack.push_async_callback(container.chat.answer_prompt.drain)
        stack.push_async_callback(container.chat.once_per_key.drain)
        yield container


def _figures_of(outbox: Outbox) -> OutboxFigures:
    backlog = outbox.backlog()
    return OutboxFigures(
        rows=backlog.rows,
        size_bytes=backlog.size_bytes,
        fill_ratio=outbox.fill_ratio(),
        lag_seconds=outbox.lag_seconds(),
        relay_failures=outbox.relay_failures(),
    )


def _writing_figures(
    settings: Settings, metrics: Metrics, clock: Clock
) -> AbstractAsyncContextManager[None]:
    if not settings.metrics_emf_enabled:
        return nullcontext()
    from infra.telemetry.emf import writing_emf

    return writing_emf(metrics.registry, service=SERVICE_NAME, clock=clock)


def _tracing(settings: Settings) -> AbstractAsyncContextManager["Tracing | None"]:
    if settings.otel_exporter_otlp_endpoint is None:
        return nullcontext()
    from infra.telemetry.tracing.tracing import open_tracing

    return open_tracing(settings, version=VERSION)


def _serving_figures(settings: Settings, metrics: Metrics) -> AbstractAsyncContextManager[None]:
    if settings.metrics_port is None:
        return nullcontext()
    options = ServeOptions(
        host=settings.host, port=settings.metrics_port, max_connections=METRICS_CONNECTIONS
    )
    return serving_beside(side_door(metrics.render), options)


def _open_claims(settings: Settings, clock: Clock) -> AbstractAsyncContextManager[IdempotencyStore]:
    if settings.dynamodb_table is not None:
        return _dynamo_claims(settings, settings.dynamodb_table)
    if settings.mongo_uri is not None:
        from infra.idempotency.mongo import open_mongo_idempotency

        return open_mongo_idempotency(
            settings.mongo_uri.get_secret_value(), database=settings.mongo_db
        )
    return open_sqlite_idempotency(settings.data_dir, clock)


@asynccontextmanager
async def _dynamo_claims(settings: Settings, table: str) -> AsyncIterator[IdempotencyStore]:
    from infra.history.aws_client import open_client
    from infra.history.dynamodb_table import Table
    from infra.idempotency.dynamodb import DynamoIdempotency

    # The table itself is made with the history that shares it.
    async with open_client("dynamodb", aws_access(settings), tries=2) as dynamodb:
        yield DynamoIdempotency(Table(dynamodb, table))


async def work(settings: Settings) -> None:
    """Carry interactions from the queue to the store until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: No queue or no store is configured, or production is told to use one that is unsafe.
    """
    refuse_unsafe_stores(settings)
    log_unhandled_in(asyncio.get_running_loop())
    clock = SystemClock()
    metrics = Metrics(version=VERSION, environment=settings.environment)
    async with (
        _serving_figures(settings, metrics),
        _tracing(settings) as tracing,
        _queues(settings, clock) as (queues, store),
        metrics.watching_queues(queues.queue.count, queues.dead_letters.count, clock),
        _writing_figures(settings, metrics, clock),
    ):
        observer = metrics.count_queue()
        if tracing:
            observer = tracing.messages_beside(observer, str(settings.sqs_queue_url))
        record = RecordInteraction(queues.queue, store, clock, observer)
        await run_until_signalled(Worker(record, queues.queue, clock))


async def redrive(
    settings: Settings, *, is_dry_run: bool, progress: Callable[[int, int], None]
) -> Redriven:
    """Put dead letters back on the queue, but for what was erased or cannot be read.

    Raises:
        ConfigurationError: No queue or no store is configured.
        CommandFailed: The queue or the store does not answer; what was done so far stays done.
    """
    clock = SystemClock()
    async with _queues(settings, clock) as (queues, store):
        redrive_dead_letters = RedriveDeadLetters(queues.dead_letters, store, clock)
        try:
            return await redrive_dead_letters(is_dry_run=is_dry_run, progress=progress)
        except (QueueUnavailable, HistoryUnreadable) as error:
            raise CommandFailed(
                "the queue or the store does not answer; what was moved so far stays moved, so start it again later"
            ) from error


@asynccontextmanager
async def _queues(settings: Settings, clock: Clock) -> AsyncIterator[tuple["Queues", DurableStore]]:
    if settings.sqs_queue_url is None or not has_store(settings):
        raise ConfigurationError(
            "set SQS_QUEUE_URL, and MONGO_URI or DYNAMODB_TABLE: there is no queue to carry from, or no store to carry to"
        )
    from infra.history.sqs_queue import open_queues
    from infra.history.sqs_queues import SqsNames

    names = SqsNames.of(settings.sqs_queue_url, settings.sqs_dlq_url)
    async with AsyncExitStack() as stack:
        store, _ = await open_store(settings, clock, stack)
        queues = await stack.enter_async_context(
            open_queues(aws_access(settings), names, clock=clock)
        )
        yield queues, store


def key_book(settings: Settings) -> KeyBook:
    """Return where the keys of this installation are made and revoked."""
    return FileKeyBook(settings.data_dir, SystemClock())


def _environment() -> Mapping[str, str]:
    """Return the environment, with what only `.env` says beneath it: keys may be named in a models file alone."""
    in_file = {name: value for name, value in dotenv.dotenv_values(".env").items() if value}
    return {**in_file, **os.environ}


def _cursor_secret(settings: Settings) -> bytes:
    if settings.cursor_secret is not None:
        return settings.cursor_secret.get_secret_value().encode()
    return load_or_make_secret(settings.data_dir / "cursor.secret")


def wire(
    settings: Settings,
    *,
    llm: LLMClient,
    catalogue: ModelCatalogue,
    history: HistoryRepository,
    claims: IdempotencyStore,
    authenticator: Authenticator | None,
    cursors: CursorCodec,
    clock: Clock,
    metrics: Metrics,
    health: Health,
    keeping: HistoryWriter | None = None,
    tracer: RequestTracer | None = None,
    history_lag_seconds: Callable[[], float | None] = lambda: None,
) -> Container:
    """Join ready-made parts; opens nothing. Tests call this with fakes.

    What is answered is kept through `keeping`; None: through `history` itself.
    """
    new_id = InteractionIds(clock)
    answer_prompt = AnswerPrompt(
        llm=llm,
        history=keeping or history,
        clock=clock,
        must_keep=settings.history_mode == "strict",
        lost_after_seconds=settings.interrupted_grace_seconds,
    )
    read_interaction = ReadInteraction(history=history)
    return Container(
        chat=ChatService(
            answer_prompt=answer_prompt,
            recall_conversation=RecallConversation(
                # A store that hangs is given up after the one, and this host is asked within the other.
                history=history,
                read_seconds=settings.history_read_seconds + HOST_READ_SECONDS,
            ),
            catalogue=catalogue,
            clock=clock,
            new_id=new_id,
            once_per_key=OncePerKey(
                claims=claims,
                read_interaction=read_interaction,
                clock=clock,
                lease_seconds=settings.idempotency_lease_seconds,
                keep_seconds=settings.idempotency_keep_seconds,
            ),
            spending=_spending(settings, clock),
            limits=ChatLimits(
                request_seconds=settings.request_timeout_seconds,
                stream_seconds=settings.stream_total_seconds,
                accept_reserve_seconds=settings.accept_reserve_seconds,
                concurrent_chats=settings.max_concurrent_chats,
            ),
        ),
        history=HistoryService(
            search_history=SearchHistory(history=history, clock=clock),
            read_interaction=read_interaction,
            erase_history=EraseHistory(history=history, claims=claims, new_id=new_id),
            list_conversations=ListConversations(history=history),
            summarise_history=SummariseHistory(history=history),
            export_history=ExportHistory(history=history, clock=clock),
            cursors=cursors,
        ),
        models=ModelService(list_models=ListModels(catalogue=catalogue)),
        authenticator=authenticator,
        caller_limits=MemoryRateLimiter(
            clock,
            requests_per_minute=settings.caller_requests_per_minute,
            concurrent_requests=settings.caller_concurrent_requests,
        ),
        health=health,
        requests=metrics,
        tracer=tracer,
        history_lag_seconds=history_lag_seconds,
        render_metrics=metrics.render,
    )


def _shown(settings: Settings, history: HistoryRepository, clock: Clock) -> HistoryRepository:
    """Return the history that is read: without what has expired, where anything does."""
    if settings.history_retention_days is None:
        return history
    return RetainedHistory(history, retention_of(settings), clock)


def _spending(settings: Settings, clock: Clock) -> Spending | None:
    if settings.caller_daily_tokens is None:
        return None
    return Spending(MemoryTokenBudget(clock, tokens_per_day=settings.caller_daily_tokens))
