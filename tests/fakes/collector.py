"""A collector of traces on loopback: it takes what OpenTelemetry's exporter sends, and shows it."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One span as it came in.

    Attributes:
        resource: What is said of the process that made it.
    """

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    seconds: float
    has_failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Collector:
    """What came in so far.

    Attributes:
        status: What it answers with.
        paths: Where it was asked.
        headers: What came with each request.
        raw: The bodies, as they came.
    """

    url: str = ""
    status: int = 200
    spans: list[Seen] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.paths.add(path)
        self.headers.append(headers)
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.raw.append(body)
        for batch in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _values(batch.resource.attributes)
            self.spans += [
                _seen(one, resource) for scope in batch.scope_spans for one in scope.spans
            ]

    def of(self, trace_id: str) -> list[Seen]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def wait_for(self, found: Callable[["Collector"], Any]) -> Any:
        """Return what `found` finds, once it finds something."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (what := found(self)):
            assert time.monotonic() < deadline, [span.name for span in self.spans]
            time.sleep(0.02)
        return what


def _seen(span: Span, resource: dict[str, Any]) -> Seen:
    return Seen(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        has_failed=span.status.code == 2,
        attributes=_values(span.attributes),
        resource=resource,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(MessageToDict(one.value)) for one in attributes}


def _value(told: dict[str, Any]) -> Any:
    ((kind, value),) = told.items()
    if kind == "arrayValue":
        return [_value(one) for one in value["values"]]
    return int(value) if kind == "intValue" else value


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector, ended with the block."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if collector.status == 200:
                headers = {name.lower(): value for name, value in self.headers.items()}
                collector.take(self.path, headers, body)
            self.send_response(collector.status)
            self.send_header("content-type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
