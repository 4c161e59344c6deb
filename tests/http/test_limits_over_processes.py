"""One limit for a key, however many processes and hosts it calls."""

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from domain.entities.caller import Scope
from infra.clock import SystemClock
from infra.security.api_keys.repository import FileApiKeyRepository
from tests.http.access import bearer
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import shared_mongo_uri
from tests.support.service import Service, plain_client, running_service

# A process that waits too long for a busy store counts by itself for a while.
pytestmark = pytest.mark.realtime

BODY = {"userId": "ana", "userPrompt": "How are you?", "maxOutputTokens": 20}
PROCESSES = 3
PER_MINUTE = 60
SPENT = 12
"""What the provider counts for one answer."""
DAILY_TOKENS = 400
PATIENCE_SECONDS = 300.0


def mongodb() -> dict[str, str]:
    return {"MONGO_URI": shared_mongo_uri(), "MONGO_DB": f"limits_{secrets.token_hex(6)}"}


def dynamodb() -> dict[str, str]:
    settings = deploy_data_stack(shared_emulator()).settings
    return {name: value for name, value in settings.items() if not name.startswith("SQS_")}


@contextmanager
def two_hosts(folder: Path, settings: dict[str, str], **limits: str) -> Iterator["Hosts"]:
    """Two hosts with several processes each, and one key for both."""
    folders = [folder / name / "data" for name in ("one", "other")]
    books = [FileApiKeyRepository(path, SystemClock()) for path in folders]
    made = books[0].create(
        name="", user_id=None, scopes=frozenset(Scope), expires_milliseconds=None
    )
    with ExitStack() as stack:
        services = []
        for path, book in zip(folders, books, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            book.add(made.record)
            service = stack.enter_context(
                running_service(
                    path,
                    {
                        **settings,
                        "AUTHENTICATION": "api_keys",
                        "WORKERS": str(PROCESSES),
                        "LIMITS_WAIT_SECONDS": "30",
                        **limits,
                    },
                )
            )
            services.append(service)
        for service in services:
            for number in range(PROCESSES):
                service.lines_with(f"process {number + 1} of {PROCESSES} serves", PATIENCE_SECONDS)
        yield Hosts(services, made.key)


class Hosts:
    """Callers of two hosts; each call has a connection of its own, so that all processes get some."""

    def __init__(self, services: list[Service], key: str) -> None:
        self.services = services
        self._key = key

    def call(self, number: int, method: str, path: str, **body: object) -> httpx2.Response:
        service = self.services[number % len(self.services)]
        with plain_client(service.url, headers=bearer(self._key)) as client:
            return client.request(method, path, **body)  # type: ignore[arg-type]

    def count_alone(self) -> bool:
        """Return whether a process could not ask the store in time."""
        return any("does not count requests" in line for one in self.services for line in one.log)


@pytest.mark.slow
@pytest.mark.parametrize("store", [mongodb, dynamodb])
def test_requests_a_minute_hold_over_all_processes_of_two_hosts(
    settings: dict[str, str], tmp_path: Path, store: Callable[[], dict[str, str]]
) -> None:
    limits = {"CALLER_REQUESTS_PER_MINUTE": str(PER_MINUTE)}
    with (
        two_hosts(tmp_path, {**settings, **store()}, **limits) as hosts,
        ThreadPoolExecutor(16) as pool,
    ):
        started_seconds = time.monotonic()
        answers = list(pool.map(lambda n: hosts.call(n, "GET", "/v1/models"), range(200)))
        elapsed_seconds = time.monotonic() - started_seconds
        assert not hosts.count_alone()
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}
    assert PER_MINUTE <= statuses.count(200) <= PER_MINUTE * (1 + elapsed_seconds / 60)
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["RateLimit"].startswith('"requests";r=0;t=')


@pytest.mark.slow
@pytest.mark.parametrize("store", [mongodb, dynamodb])
def test_a_days_tokens_hold_over_all_processes_of_two_hosts(
    settings: dict[str, str], tmp_path: Path, store: Callable[[], dict[str, str]]
) -> None:
    limits = {"CALLER_DAILY_TOKENS": str(DAILY_TOKENS)}
    with (
        two_hosts(tmp_path, {**settings, **store()}, **limits) as hosts,
        ThreadPoolExecutor(16) as pool,
    ):
        spent = 0
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answers = list(
                pool.map(lambda n: hosts.call(n, "POST", "/v1/chat", json=BODY), range(32))
            )
            spent += SPENT * sum(answer.status_code == 200 for answer in answers)
            assert spent <= DAILY_TOKENS
            assert {answer.status_code for answer in answers} <= {200, 429}
            if all(int(answer.headers.get("Retry-After", "0")) > 1 for answer in answers):
                break  # all are spent: more tomorrow
            assert time.monotonic() < deadline
        assert not hosts.count_alone()
    assert spent > DAILY_TOKENS - 2 * SPENT
