"""Metrics of each minute in CloudWatch's embedded metric format (EMF), derived from the Prometheus registry.

Costs nothing per request. Dimensions are the service, a provider, a model and an outcome; never a user.
"""

import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from prometheus_client import CollectorRegistry

from domain.interfaces.clock import Clock
from infra.tasks.supervised import repeating, running_tasks
from infra.telemetry.metrics.registry_delta import Percentiles, RegistryDelta

NAMESPACE = "RtGenAi"
PERIOD_SECONDS = 60.0

_ALL: tuple[str, ...] = ()
_MODEL = ("provider", "model")
_ROUTE = (*_MODEL, "outcome")
_MODEL_LABELS = ("gen_ai_provider_name", "gen_ai_response_model")

_CALLS = "gen_ai_client_operation_duration_seconds"
_REQUESTS = "http_server_request_duration_seconds"
_GAUGES = {
    "rt_chats_in_flight": ("ChatsInFlight", "Count"),
    "rt_background_answers": ("BackgroundAnswers", "Count"),
    "rt_background_answers_waiting": ("BackgroundAnswersWaiting", "Count"),
    "rt_background_readers": ("BackgroundReaders", "Count"),
    "rt_provider_calls_in_flight": ("ProviderCallsInFlight", "Count"),
    "rt_outbox_rows": ("OutboxRows", "Count"),
    "rt_outbox_bytes": ("OutboxBytes", "Bytes"),
    "rt_outbox_fill_ratio": ("OutboxFillRatio", "None"),
    "rt_outbox_lag_seconds": ("OutboxLagSeconds", "Seconds"),
    "rt_attachments_sweep_contents": ("AttachmentsSwept", "Count"),
    "rt_attachments_sweep_seconds": ("AttachmentsSweepSeconds", "Seconds"),
    "process_resident_memory_bytes": ("ResidentBytes", "Bytes"),
    "rt_queue_messages": ("QueueMessages", "Count"),
    "rt_queue_dead_letters": ("DeadLetters", "Count"),
}
_DISTRIBUTIONS = {
    _REQUESTS: "RequestSeconds",
    "rt_request_overhead_seconds": "OverheadSeconds",
    "gen_ai_client_operation_time_to_first_chunk_seconds": "FirstChunkSeconds",
    "rt_accept_seconds": "AcceptSeconds",
    "rt_background_append_seconds": "BackgroundAppendSeconds",
    "rt_outbox_delivery_seconds": "DeliverySeconds",
    "rt_queue_lag_seconds": "QueueLagSeconds",
}
_COUNTERS = {
    "rt_route_retries_total": "Retries",
    "rt_route_fallbacks_total": "Fallbacks",
    "rt_provider_calls_refused_total": "ProviderCallsRefused",
    "rt_queue_buried_total": "Buried",
    "rt_outbox_relay_failures_total": "RelayFailures",
    "rt_chats_not_persisted_total": "NotKept",
    "rt_attachments_stored_total": "AttachmentsStored",
    "rt_attachments_stored_bytes_total": "AttachmentsStoredBytes",
    "rt_attachments_deduplicated_total": "AttachmentsDeduplicated",
    "rt_attachments_sweep_released_total": "AttachmentsReleased",
    "rt_attachments_sweep_failures_total": "AttachmentSweepFailures",
    "rt_problems_total": "Problems",
    "rt_idempotent_replays_total": "Replays",
    "rt_background_takeovers_total": "BackgroundTakeovers",
    "rt_background_restarts_total": "BackgroundRestarts",
}
_USABLE = frozenset({"healthy", "half_open"})  # the states of a route that lets calls through
_UNWELL = frozenset({"half_open", "open", "cooling", "misconfigured"})
_NO_FAILURES = frozenset({"", "blocked", "cancelled"})  # ended by the client or by a safety filter

Measured = dict[str, tuple[str, float | Percentiles]]
"""Unit and value of each metric, by its name."""


class EmfLines:
    """Builds the lines since the last call: one for the task, and one for each route that was called."""

    def __init__(self, registry: CollectorRegistry, service: str) -> None:
        self._delta = RegistryDelta(registry)
        self._service = service

    def next(self, now_milliseconds: int) -> list[bytes]:
        """Return the lines with their line ends; the line of the task is always among them."""
        self._delta.read()
        task = self._of_task() | self._of_process(now_milliseconds)
        lines = [self._line(now_milliseconds, [_ALL], {}, task)]
        lines += [
            self._line(
                now_milliseconds,
                [_ROUTE, ("outcome",)],
                dict(zip(_ROUTE, key, strict=True)),
                measured,
            )
            for key, measured in self._of_routes().items()
        ]
        lines += [
            self._line(now_milliseconds, [_MODEL], dict(zip(_MODEL, key, strict=True)), measured)
            for key, measured in self._of_models().items()
        ]
        return lines

    def _of_task(self) -> Measured:
        delta = self._delta
        requests = delta.increases(f"{_REQUESTS}_count", ["http_response_status_class"])
        calls = delta.increases(f"{_CALLS}_count", ["error_type"])
        measured: Measured = {
            "Requests": ("Count", sum(requests.values())),
            "ServerErrors": ("Count", requests.get(("5xx",), 0.0)),
            "AllAttempts": ("Count", sum(calls.values())),
            "FailedAttempts": (
                "Count",
                sum([count for (kind,), count in calls.items() if kind not in _NO_FAILURES]),
            ),
            **{
                name: ("Count", delta.increases(counter, _ALL).get(_ALL, 0.0))
                for counter, name in _COUNTERS.items()
            },
        }
        for (status,), count in delta.increases("rt_chats_total", ["status"]).items():
            measured[f"Chats{status.title().replace('_', '')}"] = ("Count", count)
        for family, (name, unit) in _GAUGES.items():
            if (value := delta.gauge(family)) is not None:
                measured[name] = (unit, value)
        if (usable := delta.gauge("rt_route_state", state=_USABLE)) is not None:
            measured["UsableRoutes"] = ("Count", usable)
            unwell = delta.gauge("rt_route_state", state=_UNWELL)
            measured["RoutesNotWell"] = ("Count", unwell or 0)
        for family, name in _DISTRIBUTIONS.items():
            if (distribution := delta.distributions(family, _ALL).get(_ALL)) is not None:
                measured[name] = ("Seconds", distribution)
        return measured

    def _of_process(self, now_milliseconds: int) -> Measured:
        delta = self._delta
        started, files = (
            delta.gauge("process_start_time_seconds"),
            delta.gauge("process_max_fds"),
        )
        if not started or not files:  # available only with Linux's /proc
            return {}
        busy_seconds = delta.increases("process_cpu_seconds_total", _ALL).get(_ALL, 0.0)
        return {
            "ProcessorShare": ("None", busy_seconds / PERIOD_SECONDS),
            "OpenFilesRatio": ("None", (delta.gauge("process_open_fds") or 0) / files),
            "UptimeSeconds": ("Seconds", max(0.0, now_milliseconds / 1000 - started)),
        }

    def _of_routes(self) -> dict[tuple[str, ...], Measured]:
        calls = self._delta.distributions(_CALLS, [*_MODEL_LABELS, "error_type"])
        return {
            (provider, model, kind or "ok"): {
                "Attempts": ("Count", distribution.count),
                "AttemptSeconds": ("Seconds", distribution),
            }
            for (provider, model, kind), distribution in calls.items()
        }

    def _of_models(self) -> dict[tuple[str, ...], Measured]:
        delta, found = self._delta, dict[tuple[str, ...], Measured]()
        first = "gen_ai_client_operation_time_to_first_chunk_seconds"
        for key, distribution in delta.distributions(first, _MODEL_LABELS).items():
            found.setdefault(key, {})["FirstChunkSeconds"] = ("Seconds", distribution)
        labels = [*_MODEL_LABELS, "gen_ai_token_type"]
        tokens = delta.increases("gen_ai_client_token_usage_sum", labels)
        for (provider, model, kind), count in tokens.items():
            found.setdefault((provider, model), {})[f"{kind.capitalize()}Tokens"] = ("Count", count)
        return found

    def _line(
        self,
        now_milliseconds: int,
        sets: Sequence[tuple[str, ...]],
        labels: Mapping[str, str],
        measured: Measured,
    ) -> bytes:
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [["service", *names] for names in sets],
            "Metrics": [{"Name": name, "Unit": unit} for name, (unit, _) in measured.items()],
        }
        line: dict[str, Any] = {
            "_aws": {"Timestamp": now_milliseconds, "CloudWatchMetrics": [directive]},
            "service": self._service,
            **labels,
            **{name: _written(value) for name, (_, value) in measured.items()},
        }
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _written(value: float | Percentiles) -> Any:
    if isinstance(value, Percentiles):
        return {"Values": value.values, "Counts": value.counts}
    return value


@asynccontextmanager
async def writing_emf(
    registry: CollectorRegistry,
    *,
    service: str,
    clock: Clock,
    write: Callable[[bytes], object] | None = None,
) -> AsyncIterator[None]:
    """Write the lines of every minute to stdout, and those of the last, partial minute at the end.

    Args:
        registry: The metrics.
        service: Value of the dimension that all lines share.
        clock: Clock for intervals and timestamps.
        write: Writes a line; None for stdout.
    """
    lines = EmfLines(registry, service)
    write_line = write or _to_stdout

    async def write_lines() -> None:
        for line in lines.next(clock.now_milliseconds()):
            write_line(line)

    async with running_tasks(repeating(write_lines, seconds=PERIOD_SECONDS, clock=clock)):
        yield
    await write_lines()


def _to_stdout(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
