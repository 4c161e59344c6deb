"""Serves metrics and liveness on METRICS_PORT."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.server import ServeOptions, serve_in_background
from domain.interfaces.clock import Clock
from domain.interfaces.health import Degraded

PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
MAX_CONNECTIONS = 32


def serve_metrics(
    render_metrics: Callable[[], bytes], clock: Clock, *, host: str, port: int | None
) -> AbstractAsyncContextManager[Callable[[], Sequence[Degraded]]]:
    """Serve metrics on `port` while the block runs; without a port, do nothing.

    Yields a function that returns an entry while the port is not served although it should be.

    Raises:
        CannotListen: The address is in use, or not one of this machine.
    """
    if port is None:
        return nullcontext(tuple)
    options = ServeOptions(host=host, port=port, max_connections=MAX_CONNECTIONS)
    return serve_in_background(metrics_application(render_metrics), options, clock)


def metrics_application(render_metrics: Callable[[], bytes]) -> ASGIApp:
    """Return the application of that port. It logs no requests, since they come every few seconds."""

    async def metrics(_request: Request) -> Response:
        return Response(render_metrics(), media_type=PROMETHEUS_TEXT)

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "live"})

    return Starlette(routes=[Route("/metrics", metrics), Route("/health/live", live)])
