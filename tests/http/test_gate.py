"""Who is let in while nobody has to say who they are."""

import pytest

from app.middleware.access_gate import GateRules
from domain.entities.reply import FinishReason, ProviderSelected, Reply
from tests.fakes.application import ApplicationUnderTest
from tests.fakes.clock import FakeClock

ANSWER = (ProviderSelected(provider="p", model="m"), "hi", Reply(finish_reason=FinishReason.STOP))
BODY = {"userId": "ana", "userPrompt": "hi"}


def rules(*, anonymous: bool = False, proxies: tuple[str, ...] = ()) -> GateRules:
    return GateRules.without_authentication(
        allow_anonymous=anonymous, allowed_hosts=(), trusted_proxies=proxies
    )


@pytest.mark.parametrize(
    ("address", "proxies", "forwarded", "status"),
    [
        ("127.0.0.1", (), None, 200),
        ("::1", (), None, 200),
        ("::ffff:127.0.0.1", (), None, 200),
        ("192.168.1.7", (), None, 403),
        ("192.168.1.7", (), "127.0.0.1", 403),
        ("", (), None, 403),
        ("127.0.0.1", (), "6.6.6.6", 403),  # a proxy, or somebody who claims to be one
        ("127.0.0.1", ("127.0.0.1",), "6.6.6.6", 403),
        ("127.0.0.1", ("127.0.0.1",), "127.0.0.1, 6.6.6.6", 403),
        ("127.0.0.1", ("127.0.0.1",), "127.0.0.1", 200),
        ("10.0.0.1", ("10.0.0.0/8",), "127.0.0.1", 403),  # its own loopback is not ours
    ],
)
async def test_only_clients_on_this_machine_are_let_in(
    address: str, proxies: tuple[str, ...], forwarded: str | None, status: int
) -> None:
    application = ApplicationUnderTest(*ANSWER, rules=rules(proxies=proxies))
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    async with application.client(address) as client:
        response = await client.post("/v1/chat", json=BODY, headers=headers)
        assert response.status_code == status
        if status == 403:
            assert "ALLOW_ANONYMOUS" in response.json()["detail"]
            is_unknown_proxy = forwarded is not None and not proxies
            assert ("TRUSTED_PROXIES" in response.json()["detail"]) is is_unknown_proxy
        assert (await client.get("/health/live")).status_code == 200


async def test_an_authorization_header_is_ignored_where_nobody_is_asked() -> None:
    async with ApplicationUnderTest(*ANSWER).client() as client:
        headers = {"Authorization": "Bearer nonsense"}
        assert (await client.post("/v1/chat", json=BODY, headers=headers)).status_code == 200


async def test_clients_on_this_machine_have_no_limits_and_others_have() -> None:
    application = ApplicationUnderTest(
        *ANSWER, rules=rules(anonymous=True), clock=FakeClock()
    )  # no refill in between
    async with application.client() as client:
        assert "RateLimit" not in (await client.get("/v1/models")).headers
    seen = []
    for address in ("192.168.1.7", "192.168.1.8"):
        async with application.client(address) as client:
            for _ in range(2):
                seen.append((await client.get("/v1/models")).headers["RateLimit"])
    assert seen == ['"requests";r=599;t=1', '"requests";r=598;t=1'] * 2


PROXY_HEADERS = [
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Prefix",
    "X-Forwarded-Anything",
    "X-Real-IP",
    "Forwarded",
    "Via",
    "CF-Connecting-IP",
]


@pytest.mark.seen("C8")
@pytest.mark.parametrize("header", PROXY_HEADERS)
@pytest.mark.parametrize("proxies", [(), ("10.0.0.0/8",)], ids=["none trusted", "another trusted"])
async def test_a_proxy_on_this_machine_lets_nobody_in_unless_it_is_trusted(
    header: str, proxies: tuple[str, ...]
) -> None:
    application = ApplicationUnderTest(*ANSWER, rules=rules(proxies=proxies))
    headers = {header: "127.0.0.1"}
    async with application.client() as client:
        for path in ("/v1/chat", "/v1/chat/completions"):
            response = await client.post(path, json=BODY, headers=headers)
            assert response.status_code == 403
            assert "TRUSTED_PROXIES" in response.text
        for path in ("/v1/history/ana", "/", "/docs", "/metrics"):
            assert (await client.get(path, headers=headers)).status_code == 403
        for path in ("/health/live", "/health/ready"):
            assert (await client.get(path, headers=headers)).status_code == 200
    assert not application.history.kept


@pytest.mark.seen("C8")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Forwarded-For": "127.0.0.1"}, 200),
        ({"X-Forwarded-For": "127.0.0.1:4711", "Via": "1.1 proxy"}, 200),
        ({"Forwarded": 'for="[::1]:4711"'}, 200),
        ({"X-Forwarded-For": "203.0.113.7"}, 403),
        ({"Forwarded": "for=203.0.113.7"}, 403),
        ({"Forwarded": "for=_hidden"}, 403),
        ({"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=127.0.0.1"}, 403),
        ({"X-Real-IP": "127.0.0.1"}, 403),  # it tells of a proxy, and not in a way that is read
        ({"Via": "1.1 proxy"}, 403),
        ({}, 200),
    ],
)
async def test_through_a_trusted_proxy_on_this_machine_only_local_clients_are_let_in(
    headers: dict[str, str], status: int
) -> None:
    application = ApplicationUnderTest(*ANSWER, rules=rules(proxies=("127.0.0.1",)))
    async with application.client() as client:
        response = await client.post("/v1/chat", json=BODY, headers=headers)
        assert response.status_code == status


@pytest.mark.seen("C3")
@pytest.mark.parametrize(
    ("one", "other", "is_same_client"),
    [
        (("X-Forwarded-For", "203.0.113.7:1"), ("X-Forwarded-For", "203.0.113.7:2"), True),
        (("X-Forwarded-For", "203.0.113.7:1"), ("Forwarded", "for=203.0.113.7"), True),
        (("X-Forwarded-For", "203.0.113.7:1"), ("X-Forwarded-For", "203.0.113.8:1"), False),
        (("Forwarded", 'for="[2001:db8::1]:1"'), ("X-Forwarded-For", "2001:db8::2"), True),
        (("Forwarded", 'for="[2001:db8::1]:1"'), ("X-Forwarded-For", "[2001:db8:0:1::1]"), False),
    ],
)
async def test_clients_behind_a_proxy_have_limits_of_their_own_whatever_their_port(
    one: tuple[str, str], other: tuple[str, str], is_same_client: bool
) -> None:
    application = ApplicationUnderTest(
        *ANSWER, rules=rules(anonymous=True, proxies=("10.0.0.1",)), clock=FakeClock()
    )
    async with application.client("10.0.0.1") as client:
        first = await client.get("/v1/models", headers=[one])
        second = await client.get("/v1/models", headers=[other])
    assert "r=599;" in first.headers["RateLimit"]
    assert ("r=598;" in second.headers["RateLimit"]) is is_same_client


@pytest.mark.seen("C8")
async def test_where_any_client_is_let_in_a_proxy_need_not_be_trusted() -> None:
    async with ApplicationUnderTest(*ANSWER, rules=rules(anonymous=True)).client() as client:
        headers = {"X-Forwarded-For": "203.0.113.7"}
        assert (await client.post("/v1/chat", json=BODY, headers=headers)).status_code == 200
