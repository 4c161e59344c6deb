"""A number that makes no sense is refused at start: its setting is named, and what it may be."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from infra.configuration import ConfigurationError
from infra.settings import Settings, allowed_numbers, read_settings
from tests.support.service import command

pytestmark = pytest.mark.seen("E4")


def _is_number(annotation: Any) -> bool:
    return bool({annotation, *get_args(annotation)} & {int, float})


NUMBERS = sorted(
    name for name, field in Settings.model_fields.items() if _is_number(field.annotation)
)
MAY_BE_0 = {
    "accept_reserve_seconds",
    "breaker_misconfigured_seconds",
    "cooldown_cap_seconds",
    "idempotency_lease_seconds",
    "interrupted_grace_seconds",
    "jwt_leeway_seconds",
    "keys_stale_seconds",
    "metrics_port",
    "min_attempt_seconds",
    "min_free_disk_bytes",
    "otel_traces_sampler_arg",
    "outbox_keep_delivered_seconds",
    "port",
    "retry_base_seconds",
    "retry_budget_tokens",
    "retry_cap_seconds",
    "shutdown_grace_seconds",
    "unready_seconds",
}


@pytest.fixture(autouse=True)
def _without_an_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_there_are_as_many_numbers_as_ever() -> None:
    assert len(NUMBERS) >= 50
    assert set(NUMBERS) >= MAY_BE_0


@pytest.mark.parametrize("value", ["inf", "-inf", "Infinity", "nan", "NaN", "-1", "1e400", "many"])
@pytest.mark.parametrize("name", NUMBERS)
def test_no_number_is_endless_negative_or_none(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name.upper(), value)
    with pytest.raises(ConfigurationError) as refused:
        read_settings()
    told = str(refused.value)
    assert told == f"{name.upper()}: should be {allowed_numbers(Settings.model_fields[name])}"
    assert " from " in told or " above " in told
    assert "\n" not in told


@pytest.mark.parametrize("name", NUMBERS)
def test_0_is_refused_where_nothing_could_work_with_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name.upper(), "0")
    if name in MAY_BE_0:
        assert getattr(read_settings(), name) == 0
        return
    with pytest.raises(ConfigurationError, match=rf"^{name.upper()}: should be a "):
        read_settings()


@pytest.mark.parametrize("name", [name for name in NUMBERS if name.endswith(("_seconds", "_days"))])
def test_no_time_is_longer_than_clocks_and_stores_can_hold(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name.upper(), "1e18")
    with pytest.raises(ConfigurationError, match=rf"^{name.upper()}: should be a number .* up to "):
        read_settings()


@pytest.mark.parametrize(
    "name", [name for name in NUMBERS if Settings.model_fields[name].default is not None]
)
def test_every_default_may_be_spelled_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = Settings.model_fields[name].default
    monkeypatch.setenv(name.upper(), str(default))
    assert getattr(read_settings(), name) == default


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attempts_per_route", "1"),
        ("breaker_consecutive_failures", "1000000"),
        ("caller_requests_per_minute", "1000000000"),
        ("history_read_seconds", "0.5"),
        ("history_retention_days", "0.5"),
        ("history_retention_days", "3650"),
        ("keys_stale_seconds", "1e9"),
        ("max_body_bytes", "33554432"),
        ("outbox_keep_delivered_seconds", "0"),
        ("unready_seconds", "3600"),
    ],
)
def test_what_operators_set_is_taken(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name.upper(), value)
    assert getattr(read_settings(), name) == float(value)


def test_a_reserve_that_leaves_no_time_to_ask_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUEST_TIMEOUT_SECONDS", "5")
    monkeypatch.setenv("ACCEPT_RESERVE_SECONDS", "5")
    with pytest.raises(ConfigurationError, match=r"^ACCEPT_RESERVE_SECONDS: should be less than "):
        read_settings()


@pytest.mark.slow
def test_the_process_ends_with_78_and_one_line_for_all_that_is_wrong(tmp_path: Path) -> None:
    done = command(tmp_path / "data", "serve", HISTORY_RETENTION_DAYS="inf", ATTEMPTS_PER_ROUTE="0")
    assert done.returncode == 78
    (line,) = done.stdout.splitlines()
    told = json.loads(line)["message"]
    assert "ATTEMPTS_PER_ROUTE: should be a whole number from 1" in told
    assert "HISTORY_RETENTION_DAYS: should be a number above 0 up to 36525" in told
