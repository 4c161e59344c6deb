"""The sixteen faults of the public Failover Bench, with their expected outcomes."""

from dataclasses import dataclass

from infra.selftest.fault import FIRST_TEXT, WHOLE_TEXT

PRIMARY = "primary"
STANDBY = "standby"
OUTAGE = "outage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One fault of the first provider, with a healthy second one as fallback.

    Attributes:
        title: Title in the output.
        fault: Fault of the first provider; `refused` for a closed port.
        expected: Provider that answers, or the code of the error.
        text: Text that the client receives.
        most_attempts: Maximum number of calls of the first provider.
        is_streamed: The answer is streamed, so that sent text cannot be withdrawn.
        continues: The model can continue a partial answer.
        is_alone: There is no fallback.
        least_seconds: Minimum pause before a retry of the first provider.
    """

    title: str
    fault: str
    expected: str
    text: str = WHOLE_TEXT
    most_attempts: int = 2
    is_streamed: bool = False
    continues: bool = False
    is_alone: bool = False
    least_seconds: float = 0.0


CASES = (
    Case(
        title="S01 rate limit that names a second",
        fault="rate-limited-once-1s",
        expected=STANDBY,
        most_attempts=1,
    ),
    Case(
        title="S01 … nobody else to ask",
        fault="rate-limited-once-1s",
        expected=PRIMARY,
        is_alone=True,
        least_seconds=1.0,
    ),
    Case(
        title="S02 rate limit, then an answer",
        fault="rate-limited-once",
        expected=STANDBY,
        most_attempts=1,
    ),
    Case(
        title="S02 … nobody else to ask",
        fault="rate-limited-once",
        expected=PRIMARY,
        is_alone=True,
        least_seconds=1.0,
    ),
    Case(title="S03 503 once", fault="503-once", expected=PRIMARY),
    Case(title="S04 503 always", fault="503", expected=STANDBY),
    Case(title="S05 connection refused", fault="refused", expected=STANDBY),
    Case(title="S06 connection reset", fault="reset", expected=STANDBY),
    Case(title="S07 silence", fault="silent", expected=STANDBY, most_attempts=1),
    Case(title="S08 slow first word", fault="slow-first-token", expected=STANDBY, most_attempts=1),
    Case(title="S09 stall in mid answer", fault="stall", expected=STANDBY, most_attempts=1),
    Case(
        title="S09 … streamed",
        fault="stall",
        expected="provider-timeout",
        text=FIRST_TEXT,
        most_attempts=1,
        is_streamed=True,
    ),
    Case(
        title="S09 … streamed, model can go on",
        fault="stall",
        expected=STANDBY,
        text=FIRST_TEXT + WHOLE_TEXT,
        most_attempts=1,
        is_streamed=True,
        continues=True,
    ),
    Case(title="S10 cut answer", fault="cut", expected=STANDBY),
    Case(
        title="S10 … streamed",
        fault="cut",
        expected="providers-failed",
        text=FIRST_TEXT,
        most_attempts=1,
        is_streamed=True,
    ),
    Case(title="S11 malformed JSON", fault="malformed-json", expected=STANDBY, most_attempts=1),
    Case(title="S12 malformed chunk", fault="malformed-chunk", expected=STANDBY),
    Case(
        title="S12 … streamed",
        fault="malformed-chunk",
        expected="providers-failed",
        text=FIRST_TEXT,
        most_attempts=1,
        is_streamed=True,
    ),
    Case(
        title="S13 content filter",
        fault="blocked",
        expected="content-blocked",
        text="",
        most_attempts=1,
    ),
    Case(
        title="S14 context too long",
        fault="context-too-long",
        expected="context-too-long",
        text="",
        most_attempts=1,
    ),
    Case(title="S15 bad key", fault="bad-key", expected=STANDBY, most_attempts=1),
)
