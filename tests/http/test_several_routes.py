"""Several routes to one model through the service: conversations stay at one, others take turns, inside one deadline."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.fakes.behaviour import Hangs, Refuses
from tests.fakes.openai import FakeOpenAI
from tests.support.service import running_service

NAMES = ("eu", "us", "asia")


@dataclass
class Routes:
    """The service, and the fakes of its regions."""

    client: httpx2.AsyncClient
    fakes: dict[str, FakeOpenAI]

    async def chat(self, **body: Any) -> Any:
        """Return the answer to a chat."""
        answer = await self.client.post(
            "/v1/chat", json={"userId": "ana", "userPrompt": "Hi", **body}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def routes(tmp_path: Path) -> AsyncIterator[Routes]:
    async with AsyncExitStack() as stack:
        fakes = {name: await stack.enter_async_context(FakeOpenAI()) for name in NAMES}
        tables = ['default = "eu"']
        for name, fake in fakes.items():
            tables.append(
                f'[providers.{name}]\nkind = "openai"\nbase_url = "{fake.base_url}"\n'
                'api_key_env = "REGION_KEY"\nallow_http = true'
            )
            tables.append(f'[models.{name}]\nprovider = "{name}"\nupstream = "gpt-5.4-mini"')
        tables[2] += '\nspread = true\nfallbacks = ["us", "asia"]'
        settings = {
            "MODELS_TOML": "\n\n".join(tables),
            "REGION_KEY": "test-key",
            "BREAKER_CONSECUTIVE_FAILURES": "2",
            "FIRST_TOKEN_SECONDS": "20",
            "MIN_ATTEMPT_SECONDS": "0.1",
            "PRICE_LOOKUP_ENABLED": "false",
        }
        service = running_service(tmp_path / "data", settings)
        started = await asyncio.to_thread(service.__enter__)
        try:
            client = httpx2.AsyncClient(base_url=started.url, timeout=60.0, trust_env=False)
            yield Routes(await stack.enter_async_context(client), fakes)
        finally:
            await asyncio.to_thread(service.__exit__, None, None, None)


async def test_single_requests_take_turns_and_conversations_stay(routes: Routes) -> None:
    singles = [(await routes.chat())["provider"] for _ in range(6)]
    assert singles == [*NAMES, *NAMES]
    homes = set()
    for number in range(8):
        name = f"c-{number}"
        turns = [await routes.chat(conversationId=name) for _ in range(3)]
        turns.append(await routes.chat(previousId=turns[-1]["id"]))
        (home,) = {turn["provider"] for turn in turns}
        homes.add(home)
    assert len(homes) > 1


async def test_a_conversation_moves_while_the_breaker_of_its_route_is_open(routes: Routes) -> None:
    home = (await routes.chat(conversationId="c"))["provider"]
    fake = routes.fakes[home]
    fake.then(Refuses(503), Refuses(503))
    answers = [await routes.chat(conversationId="c") for _ in range(3)]
    (away,) = {answer["provider"] for answer in answers}
    assert away != home
    assert [answer["fallbackUsed"] for answer in answers] == [True] * 3
    assert len(fake.seen) == 3  # the first chat, and two failures


async def test_all_routes_share_the_deadline_of_the_request(routes: Routes) -> None:
    for fake in routes.fakes.values():
        fake.then(Hangs([]), Hangs([]))
    began_seconds = time.monotonic()
    answer = await routes.client.post(
        "/v1/chat",
        json={"userId": "ana", "userPrompt": "Hi"},
        headers={"X-Request-Timeout-Ms": "5000"},
    )
    assert answer.status_code == 504
    assert time.monotonic() - began_seconds < 20.0  # the time of one route alone
    asked = [name for name, fake in routes.fakes.items() if fake.seen]
    assert len(asked) > 1
