"""What the ways in may use."""

from collections.abc import Callable
from dataclasses import dataclass

from app.services.chat_service import ChatService
from app.services.history_service import HistoryService
from app.services.model_service import ModelService
from domain.interfaces.credentials import Authenticator
from domain.interfaces.health import Health
from domain.interfaces.rate_limiter import RateLimiter
from domain.interfaces.telemetry import RequestObserver, RequestTracer


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """Everything a controller may use, joined by `dependency_injection`.

    Attributes:
        authenticator: Tells callers; None where nobody has to say who they are.
        caller_limits: Counts what each caller sends.
        tracer: Follows each request; None where nobody wants to see traces.
        history_lag_seconds: Returns the age of what this host has still to deliver; None where it delivers nothing.
        render_metrics: Returns the process's metrics as Prometheus text.
    """

    chat: ChatService
    history: HistoryService
    models: ModelService
    authenticator: Authenticator | None
    caller_limits: RateLimiter
    health: Health
    requests: RequestObserver
    tracer: RequestTracer | None
    history_lag_seconds: Callable[[], float | None]
    render_metrics: Callable[[], bytes]
