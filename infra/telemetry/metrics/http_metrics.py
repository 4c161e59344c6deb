"""Durations of HTTP requests, and the part of them that the service itself adds."""

from prometheus_client import CollectorRegistry

from domain.interfaces.telemetry import RequestObserver, RequestOutcome
from infra.telemetry.metrics.histogram import Histogram, Series
from infra.telemetry.metrics.http_methods import KNOWN_METHODS, OTHER_METHOD

# OpenTelemetry's bounds for http.server.request.duration, and three more for slow models.
_REQUEST_SECONDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0),
)
_OVERHEAD_SECONDS = (*(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),)


class HttpMetrics(RequestObserver):
    """Observes each request in two histograms, in under a microsecond."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Histogram(
            "http_server_request_duration_seconds",
            "Duration of requests, from receipt to the last byte sent.",
            ("http_request_method", "http_route", "http_response_status_class"),
            _REQUEST_SECONDS,
        )
        self._overheads = Histogram(
            "rt_request_overhead_seconds",
            "Duration of chats without the time spent waiting for the model.",
            ("http_route",),
            _OVERHEAD_SECONDS,
        )
        registry.register(self._requests)
        registry.register(self._overheads)
        self._known: dict[tuple[str, str, int], Series] = {}

    def observe_request(self, outcome: RequestOutcome) -> None:
        key = (outcome.route, outcome.method, outcome.status // 100)
        series = self._known.get(key)
        if series is None:
            series = self._series(*key)
        series.observe(outcome.seconds)
        if outcome.context is not None:
            added_seconds = outcome.seconds - outcome.context.llm_seconds
            self._overheads.series(outcome.route).observe(max(added_seconds, 0.0))

    def _series(self, route: str, method: str, hundreds: int) -> Series:
        status_class = f"{hundreds}xx" if hundreds else "none"
        if method not in KNOWN_METHODS:
            # A client may send any method; caching them would need unbounded memory.
            return self._requests.series(OTHER_METHOD, route, status_class)
        series = self._requests.series(method, route, status_class)
        self._known[route, method, hundreds] = series
        return series
