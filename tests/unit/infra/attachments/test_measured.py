"""Figures of attachments: what is stored, what was there already, and what sweeps did."""

import logging

import pytest

from domain.interfaces.attachments import StoredContent
from domain.use_cases.sweep_attachments import SweepAttachments
from infra.attachments.measured import MeasuredAttachments, MeasuredSweep
from infra.telemetry.metrics.emf import EmfLines
from infra.telemetry.metrics.metrics import Metrics
from tests.fakes.attachments import InMemoryAttachments
from tests.fakes.clock import START_MILLISECONDS, FakeClock
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id
from tests.support.metric_samples import samples

CONTENT = StoredContent(media_type="image/png", content=b"12345")


def value(metrics: Metrics, name: str) -> float | None:
    found = samples(metrics, name)
    return next(iter(found.values()), None)


async def test_contents_are_counted_once_and_their_repetitions_apart() -> None:
    metrics, clock = Metrics(version="0", environment="test"), FakeClock()
    lines = EmfLines(metrics.registry, "rt")
    store = MeasuredAttachments(InMemoryAttachments(), metrics.count_attachments(clock))
    lines.next(START_MILLISECONDS)
    for number in range(3):
        await store.put("ana", "one", CONTENT, interaction_id=an_id(number))
    await store.put("bob", "one", CONTENT, interaction_id=an_id(3))
    assert value(metrics, "rt_attachments_stored_total") == 2
    assert value(metrics, "rt_attachments_stored_bytes_total") == 10
    assert value(metrics, "rt_attachments_deduplicated_total") == 2
    assert b'"AttachmentsStoredBytes":10' in lines.next(START_MILLISECONDS)[0]


async def test_a_sweep_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    metrics, clock = Metrics(version="0", environment="test"), FakeClock()
    store = InMemoryAttachments()
    observer = metrics.count_attachments(clock)
    old = an_id(1, milliseconds=START_MILLISECONDS - 7_200_000)
    await store.put("ana", "one", CONTENT, interaction_id=old)
    sweep = MeasuredSweep(SweepAttachments(store, InMemoryHistory(), clock), clock, observer)
    assert value(metrics, "rt_attachments_sweep_success_timestamp_seconds") == 0
    with caplog.at_level(logging.INFO):
        await sweep.run()
    assert value(metrics, "rt_attachments_sweep_contents") == 1
    assert value(metrics, "rt_attachments_sweep_released_total") == 1
    assert value(metrics, "rt_attachments_sweep_seconds") == 60
    ended_seconds = value(metrics, "rt_attachments_sweep_success_timestamp_seconds")
    assert ended_seconds == START_MILLISECONDS / 1000 + 60
    (line,) = caplog.messages
    assert line == (
        "attachments swept: 1 contents, 1 references without an interaction removed, 60.0 s"
    )


async def test_a_sweep_that_the_store_prevents_is_counted_and_no_failure_of_its_task(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics, clock = Metrics(version="0", environment="test"), FakeClock()
    store = InMemoryAttachments()
    store.is_away = True
    observer = metrics.count_attachments(clock)
    await MeasuredSweep(SweepAttachments(store, InMemoryHistory(), clock), clock, observer).run()
    assert value(metrics, "rt_attachments_sweep_failures_total") == 1
    assert value(metrics, "rt_attachments_sweep_success_timestamp_seconds") == 0
    assert caplog.messages == ["the attachment sweep failed and will be repeated: away"]
