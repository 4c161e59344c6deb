"""Assembles the service from its adapters. Opens nothing when imported."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp

from app.application import Limits, Options, create_app
from app.log_lines.background_answers import AnswerLogLines
from app.middleware.access_gate import GateRules
from app.process.lifecycle import Lifecycle
from app.requests.large_bodies import LARGE_FROM_BYTES
from app.server import ServeOptions
from app.server.metrics_server import serve_metrics
from app.services.background_service import BackgroundService
from app.services.chat_service import ChatLimits, ChatService
from app.services.container import Container
from app.services.conversation_service import ConversationService
from app.services.embedding_service import EmbeddingService
from app.services.history_service import HistoryService
from app.services.idempotency import IdempotencyService
from app.services.model_service import ModelService
from app.services.response_ids import ResponseIds
from app.services.response_service import ResponseService
from app.services.running_answers import RunningAnswers
from app.services.token_quota import TokenQuota
from app.services.usage_service import UsageService
from domain.exceptions import HistoryUnavailable
from domain.interfaces.answer_log import AnswerLog
from domain.interfaces.attachments import AttachmentStore
from domain.interfaces.clock import Clock
from domain.interfaces.conversation_records import ConversationRecords
from domain.interfaces.credentials import Authenticator
from domain.interfaces.cursor_codec import CursorCodec
from domain.interfaces.embedding_client import EmbeddingClient
from domain.interfaces.health import Health
from domain.interfaces.history import HistoryRepository, HistoryWriter, UsageReader
from domain.interfaces.idempotency import IdempotencyStore
from domain.interfaces.llm_client import LLMClient
from domain.interfaces.model_catalogue import ModelCatalogue
from domain.interfaces.rate_limiter import RateLimiter, TokenBudget
from domain.interfaces.sealer import Sealer
from domain.interfaces.telemetry import BackgroundObserver, RequestTracer
from domain.use_cases.accept_attachments import AcceptAttachments
from domain.use_cases.answer_prompt import AnswerPrompt
from domain.use_cases.background.erased_answers import ErasedAnswers
from domain.use_cases.background.follow_answer import FollowAnswer
from domain.use_cases.background.read_answer import ReadAnswer
from domain.use_cases.background.run_answers import BackgroundLimits, RunAnswers
from domain.use_cases.background.stop_answer import StopAnswer
from domain.use_cases.background.write_answer import WriterParts
from domain.use_cases.conversations.change_conversation import ChangeConversation
from domain.use_cases.conversations.erase_conversation import EraseConversation
from domain.use_cases.conversations.read_conversation import ReadConversation
from domain.use_cases.embeddings.compute_embeddings import ComputeEmbeddings
from domain.use_cases.erase_history import EraseHistory
from domain.use_cases.export_history import ExportHistory
from domain.use_cases.list_conversations import ListConversations
from domain.use_cases.list_models import ListModels
from domain.use_cases.load_attachments import LoadAttachments
from domain.use_cases.load_contents import LoadContents
from domain.use_cases.read_attachment import ReadAttachment
from domain.use_cases.read_interaction import ReadInteraction
from domain.use_cases.recall_call_metadata import RecallCallMetadata
from domain.use_cases.recall_conversation import RecallConversation
from domain.use_cases.search_history import SearchHistory
from domain.use_cases.store_long_arguments import StoreLongArguments
from domain.use_cases.summarise_history import SummariseHistory
from domain.use_cases.sweep_attachments import SweepAttachments
from domain.use_cases.usage.summarise_usage import SummariseUsage
from infra.attachments.measured import MeasuredSweep
from infra.clock import SystemClock
from infra.configuration import read_environment
from infra.history.open_history import (
    open_history,
    overdue_as_interrupted,
    records_without_expired,
    usage_without_expired,
    without_expired,
)
from infra.history.store.retention import Retention
from infra.ids import InteractionIds
from infra.llm.catalogue.catalogue import Catalogue
from infra.llm.catalogue.loader import load_catalogue
from infra.llm.chain import open_llm
from infra.logging.unhandled import log_unhandled_in
from infra.product import VERSION
from infra.security.access import open_access
from infra.security.cursors import configured_cursors, configured_sealer
from infra.settings import Settings
from infra.settings.access import AccessSettings
from infra.settings.production import refuse_unsafe
from infra.settings.server import ServerSettings
from infra.stores.answers import is_log_apart, open_answer_log
from infra.stores.limits import memory_budget, memory_limiter, open_limits
from infra.stores.registry import configured_store, unsafe_stores
from infra.tasks.supervised import repeating, running_tasks
from infra.telemetry.background_observers import BackgroundObservers
from infra.telemetry.health import ServiceHealth
from infra.telemetry.metrics.background_metrics import BackgroundCounts
from infra.telemetry.metrics.metrics import Metrics
from infra.telemetry.metrics.outbox_metrics import OutboxSnapshot
from infra.telemetry.metrics.provider_names import open_telemetry_name
from infra.telemetry.open_telemetry import tracing_of, write_embedded_metrics

SWEEP_GRACE_SECONDS = 3_600.0
QUEUED_SWEEP_GRACE_SECONDS = 22 * 86_400.0
"""Age up to which an interaction may not have reached the store: 4 days in the queue, 14 days in the dead-letter queue,
and 4 days in the queue again after a redrive."""

WATCH_SECONDS = 0.4
"""Interval of the check whether a background answer of this process was stopped, taken over or erased."""

TAKE_OVER_SECONDS = 2.0
"""Interval of the search for background answers whose process died."""

PURGE_SECONDS = 60.0
"""Interval at which the events of old background answers are removed."""

GIVE_UP_SECONDS = 3.0
"""Longest wait at shutdown until the leases of background answers are released."""

SWEEP_SECONDS = 3_600.0
"""Interval of the sweep for attachments that no interaction refers to."""

HOST_READ_SECONDS = 1.0
"""Added to the read timeout of the store, so that after a timeout there is time to read this host's outbox."""

LATE_SECONDS = 3.0
"""Longest wait for the previous turn of a request while it is in a queue or in the outbox of another host."""


def application(
    settings: Settings,
    lifecycle: Lifecycle | None = None,
    on_catalogue: Callable[[Catalogue], None] = lambda _: None,
) -> ASGIApp:
    """Return the HTTP application; its adapters are opened when a server starts it.

    `on_catalogue` is called with the models before that.
    """
    options = Options(
        version=VERSION,
        provider_name=open_telemetry_name,
        gate=_gate_rules(settings),
        cors_origins=settings.cors_origins,
        docs_enabled=settings.docs_enabled,
        metrics_enabled=settings.metrics_port is None,
        console_enabled=settings.console_enabled,
        caller_requests_per_minute=settings.caller_requests_per_minute,
        root_path=settings.root_path,
        limits=Limits(
            body_bytes=settings.max_body_bytes,
            small_body_bytes=min(settings.max_body_bytes, LARGE_FROM_BYTES),
            json_depth=settings.max_json_depth,
        ),
    )
    return create_app(options, lambda: running(settings, on_catalogue), lifecycle)


def _gate_rules(settings: AccessSettings) -> GateRules:
    if settings.authentication != "none":
        return GateRules.with_authentication(
            allowed_hosts=settings.allowed_hosts, trusted_proxies=settings.trusted_proxies
        )
    return GateRules.without_authentication(
        allow_anonymous=settings.allow_anonymous,
        allowed_hosts=settings.allowed_hosts,
        trusted_proxies=settings.trusted_proxies,
    )


def serve_options(settings: ServerSettings) -> ServeOptions:
    """Return the options of the HTTP server."""
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


@asynccontextmanager
async def running(
    settings: Settings, on_catalogue: Callable[[Catalogue], None] = lambda _: None
) -> AsyncIterator[Container]:
    """Open the adapters, yield the container, and close the adapters in reverse order."""
    log_unhandled_in(asyncio.get_running_loop())
    clock = SystemClock()
    catalogue = load_catalogue(settings, read_environment(Path(".env")), clock)
    refuse_unsafe(
        settings,
        unsafe_stores=unsafe_stores(settings),
        plain_http_providers=catalogue.plain_http_providers(),
        is_demo_only=catalogue.is_demo_only(),
    )
    on_catalogue(catalogue)
    metrics = Metrics(version=VERSION, environment=settings.environment)
    async with AsyncExitStack() as stack:
        metrics_server_degraded = await stack.enter_async_context(
            serve_metrics(metrics.render, clock, host=settings.host, port=settings.metrics_port)
        )
        tracing = await stack.enter_async_context(tracing_of(settings))
        access = await stack.enter_async_context(open_access(settings, clock))
        attachment_observer = metrics.count_attachments(clock)
        history = await stack.enter_async_context(
            open_history(
                settings,
                clock,
                traceparent=tracing.traceparent if tracing else lambda: None,
                attachment_observer=attachment_observer,
            )
        )
        idempotency_store = await stack.enter_async_context(
            configured_store(settings).open_idempotency(settings, clock)
        )
        answer_log = await stack.enter_async_context(open_answer_log(settings, clock))
        limits = await stack.enter_async_context(open_limits(settings, clock))
        erased_answers = ErasedAnswers(
            answer_log,
            history.tombstones,
            clock,
            is_log_apart=is_log_apart(settings),
            again_seconds=settings.answer_lease_renewal_seconds,
        )
        llm = await stack.enter_async_context(
            open_llm(
                catalogue,
                settings,
                clock=clock,
                observer=tracing.traced_attempts(metrics) if tracing else metrics,
                trace_configs=[tracing.trace_config()] if tracing else [],
            )
        )
        container = wire(
            settings,
            llm=llm.client,
            embeddings=llm.embeddings,
            catalogue=catalogue,
            history=overdue_as_interrupted(
                without_expired(settings, history.repository, clock),
                clock,
                background_seconds=settings.background_seconds,
            ),
            records=records_without_expired(settings, history.records, clock),
            usage=usage_without_expired(settings, history.usage, clock),
            history_writer=(
                tracing.traced_history(
                    history.repository, is_queue=settings.sqs_queue_url is not None
                )
                if tracing
                else history.repository
            ),
            tracer=tracing.requests if tracing else None,
            idempotency_store=idempotency_store,
            authenticator=access.authenticator,
            cursors=configured_cursors(settings),
            sealer=configured_sealer(settings),
            clock=clock,
            metrics=metrics,
            health=ServiceHealth(
                history.repository,
                llm.health,
                lambda: [*access.degraded(), *history.degraded(), *metrics_server_degraded()],
            ),
            history_lag_seconds=history.lag_seconds,
            attachments=history.attachments,
            answer_log=answer_log,
            erased_answers=erased_answers,
            answer_spans=tracing.traced_answers() if tracing else None,
            traceparent=tracing.traceparent if tracing else lambda: None,
            caller_limits=limits.requests,
            token_budget=limits.tokens,
        )
        if history.attachments is not None:
            sweep = MeasuredSweep(
                SweepAttachments(
                    history.attachments,
                    history.repository,
                    clock,
                    grace_seconds=SWEEP_GRACE_SECONDS
                    if settings.sqs_queue_url is None
                    else QUEUED_SWEEP_GRACE_SECONDS,
                    first_kept_id=Retention(settings.history_retention_days).first_kept_id,
                ),
                clock,
                attachment_observer,
            )
            await stack.enter_async_context(
                running_tasks(repeating(sweep.run, seconds=SWEEP_SECONDS, clock=clock))
            )
        metrics.watch_routes(llm.health)
        loop = asyncio.get_running_loop()
        metrics.watch_tasks(lambda: len(asyncio.all_tasks(loop)))
        metrics.watch_chats_in_flight(
            lambda: container.chat.chats_in_flight, limit=settings.max_concurrent_chats
        )
        if (outbox := history.outbox) is not None:
            outbox.watch_deliveries(
                metrics.watch_outbox(lambda: OutboxSnapshot.from_outbox(outbox), clock)
            )
        await stack.enter_async_context(write_embedded_metrics(settings, metrics, clock))
        answers = container.background.answers
        follow_answer = container.background.follow_answer
        await stack.enter_async_context(
            running_tasks(
                repeating(answers.watch, seconds=WATCH_SECONDS, clock=clock),
                repeating(
                    partial(answers.take_over, container.chat.prepare),
                    seconds=TAKE_OVER_SECONDS,
                    clock=clock,
                ),
                repeating(
                    partial(erased_answers.watch, lambda: [*answers.keys, *follow_answer.keys]),
                    seconds=WATCH_SECONDS,
                    clock=clock,
                ),
                repeating(partial(_purge, answer_log), seconds=PURGE_SECONDS, clock=clock),
            )
        )
        stack.push_async_callback(container.chat.answer_prompt.drain)
        stack.push_async_callback(partial(answers.drain, seconds=GIVE_UP_SECONDS))
        stack.push_async_callback(container.chat.idempotency.drain)
        yield container


def wire(
    settings: Settings,
    *,
    llm: LLMClient,
    embeddings: EmbeddingClient,
    catalogue: ModelCatalogue,
    history: HistoryRepository,
    records: ConversationRecords,
    usage: UsageReader,
    idempotency_store: IdempotencyStore,
    authenticator: Authenticator | None,
    cursors: CursorCodec,
    sealer: Sealer,
    clock: Clock,
    metrics: Metrics,
    health: Health,
    history_writer: HistoryWriter | None = None,
    tracer: RequestTracer | None = None,
    history_lag_seconds: Callable[[], float | None] = lambda: None,
    attachments: AttachmentStore | None = None,
    answer_log: AnswerLog,
    erased_answers: ErasedAnswers | None = None,
    answer_spans: BackgroundObserver | None = None,
    traceparent: Callable[[], str | None] = lambda: None,
    caller_limits: RateLimiter | None = None,
    token_budget: TokenBudget | None = None,
) -> Container:
    """Return a container of these adapters; opens nothing. Tests call it with fakes.

    Answers are stored with `history_writer`; None uses `history`. Without limits of its own it counts in this process.
    """
    new_id = InteractionIds(clock)
    load_contents = LoadContents(attachments)
    answer_prompt = AnswerPrompt(
        llm=llm,
        history=history_writer or history,
        clock=clock,
        store_long_arguments=StoreLongArguments(attachments),
        require_durable=settings.history_mode == "strict",
        lost_after_seconds=settings.interrupted_grace_seconds,
    )
    background_metrics = metrics.count_background()
    answers = RunAnswers(
        WriterParts(
            llm=llm,
            log=answer_log,
            history=history_writer or history,
            clock=clock,
            store_long_arguments=StoreLongArguments(attachments),
            observer=BackgroundObservers(
                *((answer_spans,) if answer_spans else ()),
                *((erased_answers,) if erased_answers else ()),
                background_metrics,
                AnswerLogLines(open_telemetry_name),
            ),
        ),
        BackgroundLimits(
            answers=settings.max_background_answers,
            total_seconds=settings.background_seconds,
            lease_seconds=settings.answer_lease_seconds,
            renewal_seconds=settings.answer_lease_renewal_seconds,
            takeovers=settings.max_answer_takeovers,
            silence_seconds=settings.request_timeout_seconds,
        ),
    )
    read_interaction = ReadInteraction(history=history, load_contents=load_contents)
    read_answer = ReadAnswer(answer_log, read_interaction, erased_answers)
    stop_answer = StopAnswer(answer_log, answers, read_answer)
    follow_answer = FollowAnswer(
        answer_log,
        read_interaction,
        clock,
        made_here=lambda: answers.keys,
        erased=erased_answers,
    )
    background_metrics.watch(
        BackgroundCounts(
            running=lambda: answers.running,
            waiting=lambda: answers.waiting,
            readers=lambda: follow_answer.readers,
            limit=settings.max_background_answers,
        )
    )
    erase_history = EraseHistory(
        history=history,
        idempotency_store=idempotency_store,
        new_id=new_id,
        attachments=attachments,
        records=records,
        answer_log=answer_log,
    )
    read_conversation = ReadConversation(history, records, load_contents)
    change_conversation = ChangeConversation(records, read_conversation, new_id)
    response_ids = ResponseIds(sealer)
    budget = token_budget or memory_budget(settings, clock)
    token_quota = None if budget is None else TokenQuota(budget)
    limits = ChatLimits(
        request_seconds=settings.request_timeout_seconds,
        stream_seconds=settings.stream_total_seconds,
        accept_reserve_seconds=settings.accept_reserve_seconds,
        concurrent_chats=settings.max_concurrent_chats,
    )
    return Container(
        chat=ChatService(
            answer_prompt=answer_prompt,
            accept_attachments=AcceptAttachments(attachments, settings.max_body_bytes),
            recall_call_metadata=RecallCallMetadata(history),
            recall_conversation=RecallConversation(
                history=history,
                read_seconds=settings.history_read_seconds + HOST_READ_SECONDS,
                load_attachments=LoadAttachments(attachments),
                load_contents=load_contents,
                late_seconds=0.0 if configured_store(settings).is_embedded else LATE_SECONDS,
                records=records,
            ),
            catalogue=catalogue,
            clock=clock,
            new_id=new_id,
            idempotency=IdempotencyService(
                store=idempotency_store,
                read_interaction=read_interaction,
                clock=clock,
                lease_seconds=settings.idempotency_lease_seconds,
                keep_seconds=settings.idempotency_keep_seconds,
            ),
            background=answers,
            running_answers=RunningAnswers(settings.caller_concurrent_requests),
            load_contents=load_contents,
            traceparent=traceparent,
            token_quota=token_quota,
            limits=limits,
        ),
        background=BackgroundService(
            answers,
            follow_answer,
            stop_answer,
        ),
        history=HistoryService(
            search_history=SearchHistory(history=history, load_contents=load_contents),
            read_interaction=read_interaction,
            erase_history=erase_history,
            list_conversations=ListConversations(history=history, records=records),
            summarise_history=SummariseHistory(history=history),
            export_history=ExportHistory(history=history, clock=clock, load_contents=load_contents),
            read_attachment=ReadAttachment(attachments),
            cursors=cursors,
        ),
        usage=UsageService(SummariseUsage(usage), clock),
        responses=ResponseService(
            response_ids,
            read_interaction,
            erase_history,
            read_answer,
            follow_answer,
            stop_answer,
            clock,
            drops_unknown_tools=settings.responses_drop_unknown_tools,
        ),
        conversations=ConversationService(
            response_ids,
            read_conversation,
            change_conversation,
            EraseConversation(history, erase_history, change_conversation),
        ),
        embeddings=EmbeddingService(
            compute_embeddings=ComputeEmbeddings(embeddings, clock),
            catalogue=catalogue,
            clock=clock,
            new_id=new_id,
            token_quota=token_quota,
            limits=limits,
        ),
        models=ModelService(list_models=ListModels(catalogue=catalogue)),
        authenticator=authenticator,
        caller_limits=caller_limits or memory_limiter(settings, clock),
        credential_limits=memory_limiter(settings, clock),
        health=health,
        requests=metrics,
        tracer=tracer,
        history_lag_seconds=history_lag_seconds,
        render_metrics=metrics.render,
    )


async def _purge(answer_log: AnswerLog) -> None:
    with suppress(HistoryUnavailable):  # the next round tries again
        await answer_log.purge()
