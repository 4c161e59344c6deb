"""What the metrics show after given requests and attempts, read back from the text that Prometheus reads."""

import asyncio
import math
from dataclasses import replace
from typing import Any

import pytest

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.interaction import Attempt, Status
from domain.entities.reply import FinishReason, Reply, Usage
from domain.exceptions import QueueUnavailable
from domain.interfaces.telemetry import RequestOutcome
from infra.telemetry.metrics.metrics import Metrics
from infra.telemetry.metrics.outbox_metrics import OutboxSnapshot
from infra.telemetry.metrics.queue_depth import LOOK_SECONDS
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.clock import START_MILLISECONDS, FakeClock
from tests.fakes.ends import answered
from tests.fakes.interactions import an_id, an_interaction
from tests.support.metric_samples import labels, samples

TURN = ChatRequestContext(
    id="0199a1b2-0000-7000-8000-000000000000",
    user_id="ana",
    model="gemini-3.8-flash",
    started_seconds=0.0,
    first_text_deadline=Deadline(60.0),
    answer_deadline=Deadline(60.0),
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3", environment="test")


def attempt(
    outcome: str = "ok",
    provider: str = "gemini",
    model: str = "gemini-3.8-flash",
    usage: Usage | None = None,
) -> Attempt:
    return Attempt(provider=provider, model=model, outcome=outcome, seconds=1.5, usage=usage)


A_REPLY = Reply(finish_reason=FinishReason.STOP)


ROUTE = {
    "gen_ai_operation_name": "chat",
    "gen_ai_provider_name": "gcp.gemini",
    "gen_ai_request_model": "gemini-3.8-flash",
    "gen_ai_response_model": "gemini-3.8-flash",
}


def test_a_call_of_a_provider_is_measured(metrics: Metrics) -> None:
    usage = Usage(input_tokens=15, output_tokens=73)
    metrics.attempt_ended(TURN, attempt(usage=usage), 0.25, A_REPLY)
    duration = "gen_ai_client_operation_duration_seconds"
    assert samples(metrics, f"{duration}_sum") == {labels(**ROUTE, error_type=""): 1.5}
    assert samples(metrics, f"{duration}_count") == {labels(**ROUTE, error_type=""): 1}
    first_chunk = "gen_ai_client_operation_time_to_first_chunk_seconds"
    assert samples(metrics, f"{first_chunk}_sum") == {labels(**ROUTE): 0.25}
    assert samples(metrics, "gen_ai_client_token_usage_sum") == {
        labels(**ROUTE, gen_ai_token_type="input"): 15,
        labels(**ROUTE, gen_ai_token_type="output"): 73,
    }


def test_cached_input_is_measured_by_itself_since_it_is_a_part_of_the_input(
    metrics: Metrics,
) -> None:
    usage = Usage(input_tokens=15, output_tokens=73, cached_input_tokens=12)
    metrics.attempt_ended(TURN, attempt(usage=usage), 0.25, A_REPLY)
    metrics.attempt_ended(TURN, attempt(usage=replace(usage, cached_input_tokens=None)), 0.25, None)
    assert samples(metrics, "rt_cached_input_tokens_sum") == {labels(**ROUTE): 12}
    assert samples(metrics, "rt_cached_input_tokens_count") == {labels(**ROUTE): 1}
    assert sum(samples(metrics, "gen_ai_client_token_usage_sum").values()) == 2 * (15 + 73)


def test_a_call_that_failed_shows_how(metrics: Metrics) -> None:
    metrics.attempt_ended(TURN, attempt("timeout"), None, None)
    count = samples(metrics, "gen_ai_client_operation_duration_seconds_count")
    assert count == {labels(**ROUTE, error_type="timeout"): 1}
    assert sum(samples(metrics, "gen_ai_client_token_usage_count").values()) == 0
    first_chunks = "gen_ai_client_operation_time_to_first_chunk_seconds_count"
    assert sum(samples(metrics, first_chunks).values()) == 0


@pytest.mark.seen("A13")
def test_what_a_failed_call_used_is_measured_too(metrics: Metrics) -> None:
    usage = Usage(input_tokens=52, output_tokens=0)
    metrics.attempt_ended(TURN, attempt("blocked", usage=usage), None, None)
    assert samples(metrics, "gen_ai_client_token_usage_sum") == {
        labels(**ROUTE, gen_ai_token_type="input"): 52,
        labels(**ROUTE, gen_ai_token_type="output"): 0,
    }


def test_a_fallback_shows_who_was_asked_for_and_who_answered(metrics: Metrics) -> None:
    metrics.attempt_started(TURN, "openrouter", "openai/gpt-5.4-mini")
    metrics.attempt_ended(TURN, attempt("ok", "openrouter", "openai/gpt-5.4-mini"), None, None)
    (found,) = samples(metrics, "gen_ai_client_operation_duration_seconds_count")
    assert dict(found)["gen_ai_request_model"] == "gemini-3.8-flash"
    assert dict(found)["gen_ai_response_model"] == "openai/gpt-5.4-mini"
    assert dict(found)["gen_ai_provider_name"] == "openrouter"


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        (
            "gen_ai_client_operation_duration_seconds",
            [
                0.01,
                0.02,
                0.04,
                0.08,
                0.16,
                0.32,
                0.64,
                1.28,
                2.56,
                5.12,
                10.24,
                20.48,
                40.96,
                81.92,
            ],
        ),
        (
            "gen_ai_client_token_usage",
            [
                1,
                4,
                16,
                64,
                256,
                1024,
                4096,
                16384,
                65536,
                262144,
                1048576,
                4194304,
                16777216,
                67108864,
            ],
        ),
    ],
)
def test_the_bounds_are_those_that_open_telemetry_lays_down(
    metrics: Metrics, name: str, bounds: list[float]
) -> None:
    metrics.attempt_ended(TURN, attempt(usage=Usage(input_tokens=1)), 0.25, A_REPLY)
    found = {float(dict(key)["le"]) for key in samples(metrics, f"{name}_bucket")}
    assert sorted(found) == [*bounds, math.inf]


def test_buckets_add_up_and_include_their_bound(metrics: Metrics) -> None:
    for seconds in (0.005, 0.006, 0.01, 500.0):
        metrics.observe_request(answered("/v1/models", "GET", 200, seconds))
    buckets = samples(metrics, "http_server_request_duration_seconds_bucket")
    by_bound = {float(dict(key)["le"]): value for key, value in buckets.items()}
    assert by_bound[0.005] == 1
    assert by_bound[0.01] == 3
    assert by_bound[80.0] == 3
    assert by_bound[math.inf] == 4


def test_requests_are_counted_by_route_method_and_class_of_status(metrics: Metrics) -> None:
    for status in (200, 204, 404, 503, 0):
        metrics.observe_request(answered("/v1/chat", "POST", status, 0.1))
    counts = samples(metrics, "http_server_request_duration_seconds_count")
    by_class = {dict(key)["http_response_status_class"]: value for key, value in counts.items()}
    assert by_class == {"2xx": 2, "4xx": 1, "5xx": 1, "none": 1}


def test_a_made_up_method_makes_no_series_of_its_own(metrics: Metrics) -> None:
    for number in range(50):
        metrics.observe_request(answered("/v1/chat", f"BREW{number}", 405, 0.1))
    counts = samples(metrics, "http_server_request_duration_seconds_count")
    assert {dict(key)["http_request_method"] for key in counts} == {"_OTHER"}
    assert sum(counts.values()) == 50


def test_what_the_service_adds_is_told_apart(metrics: Metrics) -> None:
    metrics.observe_request(answered("/v1/chat", "POST", 200, 1.5, llm_seconds=1.25))
    metrics.observe_request(
        answered("/v1/chat", "POST", 200, 1.0, llm_seconds=1.25)
    )  # clocks are read at different moments
    metrics.observe_request(answered("/v1/models", "GET", 200, 1.0))
    assert samples(metrics, "rt_request_overhead_seconds_sum") == {
        labels(http_route="/v1/chat"): 0.25
    }
    assert samples(metrics, "rt_request_overhead_seconds_count") == {
        labels(http_route="/v1/chat"): 2
    }


def test_what_runs_is_shown(metrics: Metrics) -> None:
    chats = 3
    metrics.watch_chats_in_flight(lambda: chats, limit=1000)
    metrics.watch_tasks(lambda: chats + 1)
    build = samples(metrics, "rt_build_info")
    assert build == {labels(version="1.2.3", environment="test"): 1}
    assert samples(metrics, "rt_chats_in_flight") == {labels(): 3}
    assert samples(metrics, "rt_chats_limit") == {labels(): 1000}
    assert samples(metrics, "rt_asyncio_tasks") == {labels(): 4}
    chats = 4
    assert samples(metrics, "rt_chats_in_flight") == {labels(): 4}


def test_no_user_is_named(metrics: Metrics) -> None:
    metrics.attempt_ended(TURN, attempt(), 0.25, None)
    assert "ana" not in metrics.render().decode()


def test_two_sets_of_metrics_do_not_meet(metrics: Metrics) -> None:
    metrics.observe_request(answered("/v1/chat", "POST", 200, 1.0))
    other = Metrics(version="1", environment="test")
    assert samples(other, "http_server_request_duration_seconds_count") == {}


def test_the_outbox_is_asked_when_the_metrics_are_read(metrics: Metrics) -> None:
    failures = [0]
    metrics.watch_outbox(
        lambda: OutboxSnapshot(
            rows=3,
            size_bytes=900,
            fill_ratio=0.25,
            lag_seconds=1.5,
            relay_failures=failures[0],
            set_aside_rows=7,
        ),
        FakeClock(),
    )
    failures[0] = 2
    shown = (
        *("rows", "bytes", "fill_ratio", "lag_seconds"),
        *("relay_failures_total", "set_aside_rows"),
    )
    found = [samples(metrics, f"rt_outbox_{name}")[labels()] for name in shown]
    assert found == [3, 900, 0.25, 1.5, 2, 7]


def test_how_long_delivery_took_is_counted_from_the_end_of_the_answer(metrics: Metrics) -> None:
    nothing = OutboxSnapshot(rows=0, size_bytes=0, fill_ratio=0, lag_seconds=0, relay_failures=0)
    clock = FakeClock()
    tell = metrics.watch_outbox(lambda: nothing, clock)
    clock.advance(3.0)
    early = an_interaction(id=an_id(milliseconds=START_MILLISECONDS), latency_seconds=2.0)
    tell([early, an_interaction(id=early.id, latency_seconds=99.0)])
    assert samples(metrics, "rt_outbox_delivery_seconds_count") == {labels(): 2}
    assert samples(metrics, "rt_outbox_delivery_seconds_sum") == {labels(): 1.0}


def told_of(metrics: Metrics, *, problem: str | None = None, **changes: Any) -> None:
    context = replace(a_chat_context(), **changes)
    metrics.observe_request(
        RequestOutcome(
            route="/v1/chat",
            method="POST",
            status=200,
            seconds=1.0,
            context=context,
            problem=problem,
        )
    )


def test_chats_are_counted_by_what_history_says_of_them(metrics: Metrics) -> None:
    for status in (Status.COMPLETED, Status.COMPLETED, Status.FAILED):
        told_of(metrics, interaction=an_interaction(status=status))
    accepted = an_interaction(status=Status.IN_PROGRESS)
    told_of(metrics, interaction=accepted, is_background=True)
    told_of(metrics, interaction=an_interaction(), is_replayed=True)
    counts = {
        dict(key)["status"]: value for key, value in samples(metrics, "rt_chats_total").items()
    }
    assert counts == {
        "completed": 2,
        "failed": 1,
        "truncated": 0,
        "blocked": 0,
        "client_cancelled": 0,
    }
    assert samples(metrics, "rt_idempotent_replays_total") == {labels(): 1}


def test_how_long_an_answer_took_to_be_durable_is_measured(metrics: Metrics) -> None:
    told_of(metrics, history_seconds=0.004)
    told_of(metrics)
    assert samples(metrics, "rt_accept_seconds_count") == {labels(): 1}
    assert samples(metrics, "rt_accept_seconds_sum") == {labels(): 0.004}


def test_what_was_answered_without_being_kept_is_counted_apart(metrics: Metrics) -> None:
    told_of(metrics, is_stored=False)
    told_of(metrics, is_stored=False, problem="history-not-durable")
    told_of(metrics)
    assert samples(metrics, "rt_chats_not_persisted_total") == {labels(): 1}


def test_refusals_are_told_by_their_problem_and_limits_apart(metrics: Metrics) -> None:
    for problem, limit in (
        ("rate-limited", "tokens"),
        ("rate-limited", "requests"),
        ("overloaded", None),
        ("overloaded", None),
    ):
        metrics.observe_request(
            answered("/v1/chat", "POST", 503, 0.1, problem=problem, limit=limit)
        )
    found = {
        (dict(key)["problem"], dict(key)["limit"]): value
        for key, value in samples(metrics, "rt_problems_total").items()
    }
    assert found == {
        ("rate-limited", "tokens"): 1,
        ("rate-limited", "requests"): 1,
        ("overloaded", ""): 2,
    }


async def test_a_queue_that_does_not_answer_shows_nothing_rather_than_what_was(
    metrics: Metrics,
) -> None:
    answers: list[int | QueueUnavailable] = [7, QueueUnavailable("away"), 9]

    async def messages() -> int:
        answer = answers.pop(0)
        if isinstance(answer, QueueUnavailable):
            raise answer
        return answer

    async def dead_letters() -> int:
        return 1

    clock = FakeClock(sleeping_advances=False)
    found = []
    async with metrics.watching_queues(messages, dead_letters, clock):
        for _ in range(3):
            for _ in range(3):
                await asyncio.sleep(0)
            found.append(samples(metrics, "rt_queue_messages"))
            clock.advance(LOOK_SECONDS)
    assert found == [{labels(): 7}, {}, {labels(): 9}]
    assert samples(metrics, "rt_queue_dead_letters") == {labels(): 1}
