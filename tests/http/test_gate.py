"""Who is let in while nobody has to say who they are."""

import pytest

from app.middleware.gate import GateRules
from domain.entities.reply import Answering, FinishReason, Reply
from tests.fakes.application import Whole

ANSWER = (Answering(provider="p", model="m"), "hi", Reply(finish_reason=FinishReason.STOP))
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
        ("127.0.0.1", (), "6.6.6.6", 200),  # anybody can write that
        ("127.0.0.1", ("127.0.0.1",), "6.6.6.6", 403),
        ("127.0.0.1", ("127.0.0.1",), "127.0.0.1, 6.6.6.6", 403),
        ("127.0.0.1", ("127.0.0.1",), "127.0.0.1", 200),
        ("10.0.0.1", ("10.0.0.0/8",), "127.0.0.1", 403),  # its own loopback is not ours
    ],
)
async def test_only_clients_on_this_machine_are_let_in(
    address: str, proxies: tuple[str, ...], forwarded: str | None, status: int
) -> None:
    whole = Whole(*ANSWER, rules=rules(proxies=proxies))
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    async with whole.client(address) as client:
        response = await client.post("/v1/chat", json=BODY, headers=headers)
        assert response.status_code == status
        if status == 403:
            assert "ALLOW_ANONYMOUS" in response.json()["detail"]
        assert (await client.get("/health/live")).status_code == 200


async def test_an_authorization_header_is_ignored_where_nobody_is_asked() -> None:
    async with Whole(*ANSWER).client() as client:
        headers = {"Authorization": "Bearer nonsense"}
        assert (await client.post("/v1/chat", json=BODY, headers=headers)).status_code == 200


async def test_clients_on_this_machine_have_no_limits_and_others_have() -> None:
    whole = Whole(*ANSWER, rules=rules(anonymous=True))
    async with whole.client() as client:
        assert "RateLimit" not in (await client.get("/v1/models")).headers
    seen = []
    for address in ("192.168.1.7", "192.168.1.8"):
        async with whole.client(address) as client:
            for _ in range(2):
                seen.append((await client.get("/v1/models")).headers["RateLimit"])
    assert seen == ['"requests";r=599;t=1', '"requests";r=598;t=1'] * 2
