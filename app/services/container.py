"""The objects that controllers and middleware use."""

from collections.abc import Callable
from dataclasses import dataclass

from app.services.background_service import BackgroundService
from app.services.chat_service import ChatService
from app.services.conversation_service import ConversationService
from app.services.embedding_service import EmbeddingService
from app.services.history_service import HistoryService
from app.services.model_service import ModelService
from app.services.response_service import ResponseService
from app.services.usage_service import UsageService
from domain.interfaces.credentials import Authenticator
from domain.interfaces.health import Health
from domain.interfaces.rate_limiter import RateLimiter
from domain.interfaces.telemetry import RequestObserver, RequestTracer


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """Services and adapters, assembled by `dependency_injection`.

    Attributes:
        authenticator: Identifies the caller; None if authentication is off.
        caller_limits: Limits the requests of each caller.
        credential_limits: Limits the invalid credentials of each address, in this process.
        tracer: Creates a span for each request; None if tracing is off.
        history_lag_seconds: Returns the age of the oldest interaction that this host has not delivered to the store;
            None if the host has no outbox.
        render_metrics: Returns the process's metrics as Prometheus text.
    """

    chat: ChatService
    background: BackgroundService
    history: HistoryService
    usage: UsageService
    models: ModelService
    embeddings: EmbeddingService
    responses: ResponseService
    conversations: ConversationService
    authenticator: Authenticator | None
    caller_limits: RateLimiter
    credential_limits: RateLimiter
    health: Health
    requests: RequestObserver
    tracer: RequestTracer | None
    history_lag_seconds: Callable[[], float | None]
    render_metrics: Callable[[], bytes]
