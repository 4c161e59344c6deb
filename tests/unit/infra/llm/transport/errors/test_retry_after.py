"""How long a provider asks us to wait, in every way they say it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from infra.llm.transport.errors.retry_after import retry_after_seconds

SENT_AT = datetime(2020, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("1", 1.0),
        (" 30 ", 30.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("1000000000", 86_400.0),
        ("-1", None),
        ("1e9", None),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("9" * 400, None),
        ("1" + "0" * 5000, None),
    ],
)
def test_seconds(header: str, seconds: float | None) -> None:
    assert retry_after_seconds({"Retry-After": header}) == seconds


def test_a_date_counts_from_when_the_answer_was_sent() -> None:
    later = SENT_AT + timedelta(seconds=7)
    headers = {
        "Retry-After": format_datetime(later, usegmt=True),
        "Date": format_datetime(SENT_AT, usegmt=True),
    }
    assert retry_after_seconds(headers) == 7.0


def test_a_date_without_one_of_the_answer_counts_from_now() -> None:
    later = datetime.now(UTC) + timedelta(seconds=30)
    seconds = retry_after_seconds({"Retry-After": format_datetime(later, usegmt=True)})
    assert seconds is not None
    assert 25 < seconds <= 30


@pytest.mark.parametrize(
    "date",
    [
        "Wed, 01 Jan 2020 11:59:59 GMT",
        "Wed, 32 Jan 2020 12:00:07 GMT",
        "Wed, 01 Jan 99999 12:00:07 GMT",
        "Fri, 01 Jan",
    ],
    ids=["passed", "no such day", "no such year", "incomplete"],
)
def test_a_date_that_has_passed_or_is_none_says_nothing(date: str) -> None:
    headers = {"Retry-After": date, "Date": format_datetime(SENT_AT, usegmt=True)}
    assert retry_after_seconds(headers) is None


def test_a_far_date_is_a_day() -> None:
    headers = {"Retry-After": "Fri, 01 Jan 2100 12:00:00 GMT"}
    assert retry_after_seconds(headers) == 86_400.0


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        ("36s", 36.0),
        ("45.837906927s", 45.837906927),
        ("0.5s", 0.5),
        ("-1s", None),
        ("36", None),
        ("s", None),
        ("", None),
        (36, None),
        (None, None),
        ({"seconds": 36}, None),
    ],
)
def test_google_says_it_in_the_body(delay: object, seconds: float | None) -> None:
    assert retry_after_seconds({}, delay) == seconds


def test_openai_says_it_in_milliseconds_first() -> None:
    assert retry_after_seconds({"retry-after-ms": "1500", "Retry-After": "2"}) == 1.5


def test_a_header_comes_before_the_body_unless_it_says_nothing() -> None:
    assert retry_after_seconds({"Retry-After": "2"}, "36s") == 2.0
    assert retry_after_seconds({"Retry-After": "soon"}, "36s") == 36.0
