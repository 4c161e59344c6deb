"""Measures the cost of metrics, the access log and, if enabled, tracing per request.

    python -m bench.telemetry

Reports to the service's own metrics a chat that fell back (two attempts and the request), and writes its line through the
service's own formatter and handler to a file that keeps nothing; then the same with spans that a collector on loopback
does not take. Prints the CPU time a request, in µs: medians over rounds. The budget of metrics and line together is 30.
"""

import argparse
import asyncio
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable

from app.log_lines.fields import access_line
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.prompt import Prompt
from domain.entities.reply import FinishReason, Reply, Usage
from domain.interfaces.telemetry import AttemptObserver, RequestOutcome
from infra.logging.configuration import configure_logging
from infra.settings import Settings
from infra.telemetry.metrics.metrics import Metrics
from infra.telemetry.metrics.provider_names import open_telemetry_name
from infra.telemetry.tracing.tracing import Tracing, open_tracing

BUDGET_MICROSECONDS = 30.0

_ID = "019aabb1-0000-7000-8000-000000000000"
_STATE = {"request_id": "bench-request", "trace_id": "bench-request"}
_REPLY = Reply(finish_reason=FinishReason.STOP, usage=Usage(input_tokens=120, output_tokens=310))
_ATTEMPTS = (
    Attempt(provider="gemini", model="first", outcome="unavailable", seconds=0.1, http_status=503),
    Attempt(provider="openrouter", model="second", outcome="ok", seconds=0.7, http_status=200),
)
_INTERACTION = Interaction(
    id=_ID,
    user_id="ana",
    prompt=Prompt.from_text("How are you?"),
    requested_model="first",
    model="second",
    provider="openrouter",
    text="Fine.",
    status=Status.COMPLETED,
    finish_reason=FinishReason.STOP,
    usage=_REPLY.usage,
    fallback_used=True,
    latency_seconds=0.812,
    attempts=_ATTEMPTS,
)
_HEADERS = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]


class Chat:
    """One chat with a fallback, reported to all observers of the service."""

    def __init__(self, metrics: Metrics, tracing: Tracing | None) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._attempts: AttemptObserver = metrics
        if tracing is not None:
            self._attempts = tracing.traced_attempts(metrics)
        self._logger = logging.getLogger("app.access")

    def count(self) -> RequestOutcome:
        """Report to the metrics, and to the tracer if there is one."""
        span = None if self._tracing is None else self._tracing.requests.begin("POST", _HEADERS)
        context = ChatRequestContext(
            id=_ID,
            user_id="ana",
            model="first",
            started_seconds=0.0,
            first_text_deadline=Deadline(59.0),
            answer_deadline=Deadline(59.0),
            llm_seconds=0.812,
            history_seconds=0.002,
        )
        for attempt, reply in zip(_ATTEMPTS, (None, _REPLY), strict=True):
            self._attempts.attempt_started(context, attempt.provider, attempt.model)
            context.attempts.append(attempt)
            self._attempts.attempt_ended(context, attempt, 0.2 if reply else None, reply)
        context.interaction = _INTERACTION
        answered = RequestOutcome(
            route="/v1/chat", method="POST", status=200, seconds=0.82, context=context
        )
        self._metrics.observe_request(answered)
        if span is not None:
            span.end(answered)
        return answered

    def count_and_log(self) -> None:
        """The same, and the log line of the request."""
        answered = self.count()
        message, fields = access_line(_STATE, answered, open_telemetry_name)
        self._logger.info(message, extra={"ecs": fields})


def cpu_microseconds(work: Callable[[], object], calls: int) -> float:
    """Return this thread's CPU time for one call of `work`."""
    started = time.thread_time()
    for _ in range(calls):
        work()
    return (time.thread_time() - started) / calls * 1e6


async def measure(rounds: int, calls: int) -> float:
    """Print the cost of each part; return that of metrics and log line together."""
    metrics = Metrics(version="bench", environment="bench")
    unreachable = Settings(_env_file=None, otel_exporter_otlp_endpoint="http://127.0.0.1:9")
    async with open_tracing(unreachable, version="bench") as tracing:
        plain, traced = Chat(metrics, None), Chat(metrics, tracing)
        figures = {
            "metrics": plain.count,
            "metrics and log line": plain.count_and_log,
            "the same, traced": traced.count_and_log,
        }
        taken: dict[str, list[float]] = {name: [] for name in figures}
        for _ in range(rounds):
            for name, work in figures.items():
                taken[name].append(cpu_microseconds(work, calls))
    print(f"{rounds} rounds of {calls} requests; µs of CPU a request", file=sys.stderr)
    medians = {name: statistics.median(one) for name, one in taken.items()}
    for name, median in medians.items():
        print(f"{name:22} {median:6.1f}  (least {min(taken[name]):.1f})", file=sys.stderr)
    return medians["metrics and log line"]


def main() -> int:
    """Read the command line and measure; exit 1 above the budget."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="turns of all (15)")
    parser.add_argument("--calls", type=int, default=5000, help="requests a turn (5000)")
    arguments = parser.parse_args()
    with open(os.devnull, "wb", buffering=0) as nowhere:  # noqa: PTH123 - unbuffered, as stdout is written
        configure_logging(
            "info", service_name="rt-genai", version="bench", environment="bench", stream=nowhere
        )
        spent = asyncio.run(measure(arguments.rounds, arguments.calls))
    return 0 if spent <= BUDGET_MICROSECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
