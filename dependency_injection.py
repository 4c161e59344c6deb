"""The wiring: the only file that knows every class. Opens nothing when imported."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from app.application import Limits, Options
from app.container import Container, Degraded, Health
from app.middleware.gate import GateRules
from app.server import ServeOptions
from app.services.chat_service import ChatLimits, ChatService
from app.services.history_service import HistoryService
from app.services.model_service import ModelService
from domain.interfaces.clock import Clock
from domain.interfaces.cursor_codec import CursorCodec
from domain.interfaces.history import HistoryRepository
from domain.interfaces.llm_client import LLMClient
from domain.interfaces.model_catalogue import ModelCatalogue
from domain.use_cases.answer_prompt import AnswerPrompt
from domain.use_cases.erase_history import EraseHistory
from domain.use_cases.list_models import ListModels
from domain.use_cases.read_interaction import ReadInteraction
from domain.use_cases.search_history import SearchHistory
from infra.ids import InteractionIds
from infra.settings import Settings
from infra.telemetry.metrics import Metrics


def wire(
    settings: Settings,
    *,
    llm: LLMClient,
    catalogue: ModelCatalogue,
    history: HistoryRepository,
    cursors: CursorCodec,
    clock: Clock,
    metrics: Metrics,
    health: Health,
) -> Container:
    """Join ready-made parts; opens nothing. Tests call this with fakes."""
    new_id = InteractionIds(clock)
    answer_prompt = AnswerPrompt(
        llm=llm,
        history=history,
        clock=clock,
        lost_after_seconds=settings.interrupted_grace_seconds,
    )
    return Container(
        chat=ChatService(
            answer_prompt=answer_prompt,
            catalogue=catalogue,
            clock=clock,
            new_id=new_id,
            limits=ChatLimits(
                request_seconds=settings.request_timeout_seconds,
                stream_seconds=settings.stream_total_seconds,
                accept_reserve_seconds=settings.accept_reserve_seconds,
                concurrent_chats=settings.max_concurrent_chats,
            ),
        ),
        history=HistoryService(
            search_history=SearchHistory(history=history, clock=clock),
            read_interaction=ReadInteraction(history=history),
            erase_history=EraseHistory(history=history, new_id=new_id),
            cursors=cursors,
        ),
        models=ModelService(list_models=ListModels(catalogue=catalogue)),
        health=health,
        requests=metrics,
        render_metrics=metrics.render,
    )
