"""Counts requests, by route and outcome, and what the service itself adds to them."""

from prometheus_client import CollectorRegistry

from domain.interfaces.telemetry import RequestObserver, RequestOutcome
from infra.telemetry.metrics.histogram import Histogram, Series

# OpenTelemetry's bounds for http.server.request.duration, then three more: a model takes longer than a web page.
_REQUEST_SECONDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0),
)
_OVERHEAD_SECONDS = (*(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER_METHOD = "_OTHER"


class HttpMetrics(RequestObserver):
    """Two histograms; a request costs under a microsecond."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Histogram(
            "http_server_request_duration_seconds",
            "Requests from receipt to the last byte handed over.",
            ("http_request_method", "http_route", "http_response_status_class"),
            _REQUEST_SECONDS,
        )
        self._overheads = Histogram(
            "rt_request_overhead_seconds",
            "Of requests that asked a model: all that was not waiting for it.",
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
        if method not in _METHODS:
            # a caller may send any word, and would make what is known grow without bound
            return self._requests.series(_OTHER_METHOD, route, status_class)
        series = self._requests.series(method, route, status_class)
        self._known[route, method, hundreds] = series
        return series
