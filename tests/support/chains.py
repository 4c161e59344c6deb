"""Chains of responses, asked over several processes, whose providers compare each context with what clients were answered."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e.two_tool_task import in_thread
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.behaviour import Behaviour, Says
from tests.fakes.gemini import FakeGemini
from tests.fakes.http_provider import FakeProvider, Seen
from tests.fakes.openai import FakeOpenAI
from tests.support.service import NO_CERTIFICATES, Service

KINDS = ("gem", "alt", "ant")
"""Models of Gemini's, OpenAI's and Anthropic's format."""

_KEY = "test-key"
_PAUSE_SECONDS = 0.1
"""Between a refusal and the same request again."""
_TRIES = 2000


@dataclass
class Ledger:
    """What clients were answered, and what providers saw.

    Attributes:
        turns: Question and answer of each turn, by chain, in order; only what a client has received whole.
        ids: Of the interactions of these turns.
        not_found: Answers that a previous response does not exist.
        wrong: Contexts that differ from the turns of their chain.
        refused: Other refusals, by status; the request was repeated.
        cut: Requests whose connection ended without an answer.
        asked: Requests that providers saw.
    """

    turns: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    ids: dict[str, list[str]] = field(default_factory=dict)
    not_found: list[str] = field(default_factory=list)
    wrong: list[list[str]] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)
    cut: int = 0
    asked: int = 0

    @property
    def answered(self) -> int:
        return sum(len(turns) for turns in self.turns.values())

    @property
    def ended(self) -> int:
        return self.answered + sum(self.refused.values()) + self.cut


class _Checking(FakeProvider):
    """A provider that compares the context of each request with the ledger, and gives an answer unlike all others."""

    ledger: Ledger
    numbers: Iterator[int]

    def _default(self, seen: Seen) -> Behaviour:
        self.seen.clear()  # thousands of contexts
        texts = _texts_of(seen.body)
        question = texts[-1]
        chain = question.partition(" ")[0]
        self.ledger.asked += 1
        if texts != [*itertools.chain(*self.ledger.turns.get(chain, ())), question]:
            self.ledger.wrong.append(texts)
        return Says([f"Answer {next(self.numbers)} ", f"to {question}"])


class _Gemini(_Checking, FakeGemini):
    pass


class _OpenAI(_Checking, FakeOpenAI):
    pass


class _Anthropic(_Checking, FakeAnthropic):
    pass


def _texts_of(body: Any) -> list[str]:
    if "contents" in body:
        parts = [content["parts"] for content in body["contents"]]
        return ["".join(part["text"] for part in some) for some in parts]
    contents = [message["content"] for message in body["messages"]]
    return [
        content if isinstance(content, str) else "".join(block["text"] for block in content)
        for content in contents
    ]


@contextmanager
def checking_providers(ledger: Ledger, folder: Path) -> Iterator[dict[str, str]]:
    """Serve a provider of each kind until the block ends, and yield the settings of services that ask them."""
    providers = {
        "gem": ("gemini", _Gemini(api_key=_KEY)),
        "alt": ("openai", _OpenAI(api_key=_KEY)),
        "ant": ("anthropic", _Anthropic(api_key=_KEY)),
    }
    numbers = itertools.count()
    for _, provider in providers.values():
        provider.ledger, provider.numbers = ledger, numbers
    with in_thread(*(provider for _, provider in providers.values())):
        tables = ['default = "gem"']
        for name, (kind, provider) in providers.items():
            tables += [
                f'[providers.{name}]\nkind = "{kind}"\nbase_url = "{provider.base_url}"\n'
                'api_key_env = "TEST_KEY"',
                f'[models.{name}]\nprovider = "{name}"\nupstream = "{name}"\n'
                "context_tokens = 1000000\nmax_output_tokens = 1000",
            ]
        path = folder / "models.toml"
        path.write_text("\n\n".join(tables), encoding="utf-8")
        yield {"MODELS_FILE": str(path), "TEST_KEY": _KEY, "PRICE_LOOKUP_ENABLED": "false"}


@dataclass
class Chains:
    """Asks the turns of chains, each turn in another process and of another provider than the one before.

    Attributes:
        services: The processes; one that is killed is replaced here.
        ledger: Of all that was answered.
    """

    services: list[Service]
    ledger: Ledger

    async def ask(self, *, chains: int, turns: int) -> None:
        """Ask `turns` turns of each of `chains` chains, a connection a chain and process at a time."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            client = await stack.enter_async_context(
                httpx2.AsyncClient(
                    timeout=120.0,
                    trust_env=False,
                    verify=NO_CERTIFICATES,
                    limits=httpx2.Limits(max_connections=chains),
                )
            )
            for number in range(chains):
                group.create_task(self._ask_chain(client, number, turns))

    async def _ask_chain(self, client: httpx2.AsyncClient, number: int, turns: int) -> None:
        chain = f"chain{number}"
        kept = self.ledger.turns.setdefault(chain, [])
        ids = self.ledger.ids.setdefault(chain, [])
        previous: str | None = None
        for turn in range(turns):
            question = f"{chain} asks {turn}"
            body = {
                "input": question,
                "user": chain,
                "model": KINDS[(number + turn) % len(KINDS)],
                "previous_response_id": previous,
            }
            answer = await self._answer(client, number + turn, body)
            previous = answer["id"]
            ids.append(answer["interaction"])
            kept.append((question, answer["text"]))

    async def _answer(
        self, client: httpx2.AsyncClient, number: int, body: dict[str, Any]
    ) -> dict[str, str]:
        """Return the id and the text of the answer, asking another process after each failure."""
        for attempt in range(_TRIES):
            service = self.services[(number + attempt) % len(self.services)]
            try:
                response = await client.post(f"{service.url}/v1/responses", json=body)
            except httpx2.TransportError:
                self.ledger.cut += 1
            else:
                if response.status_code == 200:
                    answer = response.json()
                    (message,) = answer["output"]
                    text = "".join(part["text"] for part in message["content"])
                    interaction = response.headers["x-interaction-id"]
                    return {"id": answer["id"], "text": text, "interaction": interaction}
                if response.status_code == 404:
                    self.ledger.not_found.append(response.text)
                elif response.status_code < 500:
                    raise AssertionError(response.text)
                status = response.status_code
                self.ledger.refused[status] = self.ledger.refused.get(status, 0) + 1
            await asyncio.sleep(_PAUSE_SECONDS)
        raise AssertionError(f"no answer to {body}")


def walk_ids(client: httpx2.Client, users: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each user with the ids of the interactions in their history."""
    for user in users:
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = client.get(f"/v1/history/{user}", params={"limit": "100", **cursor})
            assert page.status_code == 200, page.text
            found += [turn["id"] for turn in page.json()["history"]]
            if page.json()["nextCursor"] is None:
                break
            cursor = {"cursor": page.json()["nextCursor"]}
        yield user, found
