"""/health/live and /health/ready; open to probes without credentials."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from app.dto.wire import Dto, time_of, wire_time
from app.requests.request_context import container_of
from app.requests.strict_route import StrictRoute

router = APIRouter(prefix="/health", route_class=StrictRoute, tags=["health"])


class Live(Dto):
    """The process answers."""

    status: Literal["live"] = Field(description="Always `live`.")


class DegradedPart(Dto):
    """A part that does not work as it should, while the service goes on."""

    component: str = Field(description="Which part.", examples=["route gemini/gemini-3.8-flash"])
    reason: str = Field(description="What is wrong with it.", examples=["circuit open"])
    since: str = Field(description="RFC 3339 UTC.", examples=["2026-11-22T10:00:00.123Z"])


class Ready(Dto):
    """Whether a chat sent now could be answered and kept."""

    status: Literal["ready", "not_ready"] = Field(description="`ready` comes with a 200.")
    degraded: list[DegradedPart] = Field(description="What is down without making us unready.")


@router.get("/live", summary="Is the process alive?")
async def live() -> Live:
    """Answer as long as the event loop turns."""
    return Live(status="live")


@router.get(
    "/ready",
    summary="Can it serve?",
    responses={503: {"model": Ready, "description": "Not now: stopping, or nothing can be kept."}},
)
async def ready(request: Request, response: Response) -> Ready:
    """Tell whether chats can be answered and kept; a store or provider that is away does not unready the service."""
    health = container_of(request).health
    is_ready = health.is_ready() and not request.app.state.lifecycle.is_stopping
    if not is_ready:
        response.status_code = 503
    return Ready(
        status="ready" if is_ready else "not_ready",
        degraded=[
            DegradedPart(
                component=part.component,
                reason=part.reason,
                since=wire_time(time_of(part.since_milliseconds)),
            )
            for part in health.degraded()
        ],
    )
