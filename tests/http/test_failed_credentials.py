"""Floods of credentials that do not hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.fakes.issuer import Issuer, issuer_in_thread, token
from tests.http.access import bearer, jwt_settings, make_key
from tests.support.bad_tokens import STRANGER
from tests.support.service import Service, running_service

LIMIT = 3
ADDRESS, OTHER_ADDRESS = "203.0.113.7", "203.0.113.8"


def forged(number: int) -> bytes:
    """A token that only a look at its signature shows to be false."""
    return token(key=STRANGER, number=number)


@contextmanager
def guarded(
    data_dir: Path, settings: dict[str, str], **more: str
) -> Iterator[tuple[Service, Issuer]]:
    with issuer_in_thread() as issuer:
        ours = {
            **settings,
            **jwt_settings(issuer),
            "CALLER_REQUESTS_PER_MINUTE": str(LIMIT),
            "TRUSTED_PROXIES": "127.0.0.1",
            **more,
        }
        with running_service(data_dir, ours) as service:
            yield service, issuer


def ask(
    client: httpx2.Client,
    credentials: str | bytes,
    address: str = ADDRESS,
    path: str = "/v1/models",
) -> httpx2.Response:
    headers = {**bearer(credentials), "X-Forwarded-For": f"{address}:4711"}
    return client.get(path, headers=headers)


@pytest.mark.seen("F10")
def test_an_address_that_sends_bad_tokens_is_refused_and_nobody_else(
    settings: dict[str, str], data_dir: Path
) -> None:
    _, key = make_key(data_dir)
    known = token(sub="known")
    with guarded(data_dir, settings) as (service, _), service.client() as client:
        assert ask(client, known).status_code == 200
        statuses = [ask(client, forged(number)).status_code for number in range(LIMIT + 2)]
        assert statuses[:LIMIT] == [401] * LIMIT
        refused = ask(client, forged(99), path="/v1/history/ana")
        assert refused.status_code == 429
        assert refused.json()["type"] == "/problems/rate-limited"
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        openai = client.post(
            "/v1/chat/completions",
            json={},
            headers={**bearer(forged(98)), "X-Forwarded-For": ADDRESS},
        )
        assert openai.status_code == 429
        assert openai.json()["error"]["code"] == "rate_limited"
        # Whoever shares the address and is known is not kept out, and neither is any other address.
        assert ask(client, known).status_code == 200
        assert ask(client, key).status_code == 200
        assert ask(client, token(sub="new"), OTHER_ADDRESS).status_code == 200
        assert ask(client, forged(97), OTHER_ADDRESS).status_code == 401
        assert client.get("/health/live").status_code == 200
        assert 'limit="credentials"' in client.get("/metrics").text


@pytest.mark.seen("F10")
def test_good_tokens_and_requests_without_credentials_use_nothing_up(
    settings: dict[str, str], data_dir: Path
) -> None:
    with guarded(data_dir, settings) as (service, _), service.client() as client:
        for number in range(3 * LIMIT):
            assert ask(client, token(sub=f"user-{number}")).status_code == 200
            assert client.get("/v1/models").status_code == 401
        assert ask(client, forged(1)).status_code == 401


@pytest.mark.seen("F10")
def test_bad_keys_count_as_bad_tokens_do(settings: dict[str, str], data_dir: Path) -> None:
    with guarded(data_dir, settings) as (service, _), service.client() as client:
        bad = [f"rtg_aaaaaaaaaaaa_{number:032}" for number in range(LIMIT + 2)]
        assert [ask(client, one).status_code for one in bad][:LIMIT] == [401] * LIMIT
        assert ask(client, bad[0]).status_code == 429


@pytest.mark.seen("F10")
def test_hosts_of_one_ipv6_network_count_as_one(settings: dict[str, str], data_dir: Path) -> None:
    with guarded(data_dir, settings) as (service, _), service.client() as client:
        for number in range(LIMIT + 2):
            last = ask(client, forged(number), f"[2001:db8::{number:x}]").status_code
        assert last == 429
        assert ask(client, forged(1), "[2001:db8:0:1::1]").status_code == 401
