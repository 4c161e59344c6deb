"""What the ways in may use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from app.services.chat_service import ChatService
from app.services.history_service import HistoryService
from app.services.model_service import ModelService
from domain.interfaces.telemetry import RequestObserver


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """A part that does not work as it should, while the service goes on.

    Attributes:
        since: RFC 3339 UTC.
    """

    component: str
    reason: str
    since: str


class Health(Protocol):
    """Tells whether requests can be served."""

    def is_ready(self) -> bool:
        """Return whether a chat sent now could be answered and kept."""
        ...

    def degraded(self) -> list[Degraded]:
        """Return what does not work as it should."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """Everything a controller or a command may use, joined by `dependency_injection`.

    Attributes:
        render_metrics: Returns the process's metrics as Prometheus text.
    """

    chat: ChatService
    history: HistoryService
    models: ModelService
    health: Health
    requests: RequestObserver
    render_metrics: Callable[[], bytes]
