"""/health/live and /health/ready; accessible without credentials."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from app.dto.wire import Dto, format_time, from_epoch_milliseconds
from app.requests.request_context import container_of
from app.requests.strict_route import StrictRoute

router = APIRouter(prefix="/health", route_class=StrictRoute, tags=["health"])


class Live(Dto):
    """Liveness of the process."""

    status: Literal["live"] = Field(description="Always `live`.")


class DegradedPart(Dto):
    """A component that is impaired without making the service unavailable."""

    component: str = Field(
        description="Name of the component.", examples=["route gemini/gemini-3.8-flash"]
    )
    reason: str = Field(description="Cause of the impairment.", examples=["circuit open"])
    since: str = Field(
        description="Start of the impairment, RFC 3339 UTC with milliseconds.",
        examples=["2026-11-22T10:00:00.123Z"],
    )


class Ready(Dto):
    """Readiness: whether a chat can be answered and stored."""

    status: Literal["ready", "not_ready"] = Field(
        description="`ready` with status 200, `not_ready` with 503."
    )
    degraded: list[DegradedPart] = Field(
        description="Impaired components that do not affect readiness."
    )


@router.get("/live", summary="Check liveness")
async def live() -> Live:
    """Respond as long as the event loop runs."""
    return Live(status="live")


@router.get(
    "/ready",
    summary="Check readiness",
    responses={
        503: {
            "model": Ready,
            "description": "The service is stopping, or interactions cannot be stored.",
        }
    },
)
async def ready(request: Request, response: Response) -> Ready:
    """Whether chats can be answered and stored; an unavailable store or provider alone does not end readiness."""
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
                since=format_time(from_epoch_milliseconds(part.since_milliseconds)),
            )
            for part in health.degraded()
        ],
    )
