"""/metrics, in Prometheus's text format."""

from fastapi import APIRouter, Request, Response

from app.requests.request_context import container_of
from app.requests.strict_route import StrictRoute
from app.server.metrics_server import PROMETHEUS_TEXT

router = APIRouter(route_class=StrictRoute, tags=["operations"])


@router.get("/metrics", summary="Read the metrics of this process", response_class=Response)
async def metrics(request: Request) -> Response:
    """Metrics of this process since its start, in Prometheus's text format."""
    return Response(container_of(request).render_metrics(), media_type=PROMETHEUS_TEXT)
