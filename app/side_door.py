"""What an operator's tools ask on METRICS_PORT: the figures, and whether the process is alive."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.controllers.metrics_controller import PROMETHEUS_TEXT


def side_door(render_metrics: Callable[[], bytes]) -> ASGIApp:
    """Return the application of that port. It logs no requests, since it is asked every few seconds."""

    async def metrics(_request: Request) -> Response:
        return Response(render_metrics(), media_type=PROMETHEUS_TEXT)

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "live"})

    return Starlette(routes=[Route("/metrics", metrics), Route("/health/live", live)])
