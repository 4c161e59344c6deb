"""The whole application over parts a test can break, without a process or a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from starlette.types import ASGIApp, Message

from app.application import Options, create_app
from app.middleware.access_gate import GateRules
from app.process.lifecycle import Lifecycle
from app.services.container import Container
from dependency_injection import wire
from domain.entities.model import Model
from domain.exceptions import UnknownModel
from domain.interfaces.clock import Clock
from domain.interfaces.credentials import Authenticator
from domain.interfaces.cursor_codec import CursorCodec, PageQuery
from domain.interfaces.health import Degraded, Health
from domain.interfaces.model_catalogue import ModelCatalogue
from infra.clock import SystemClock
from infra.settings import Settings
from infra.telemetry.metrics.metrics import Metrics
from tests.fakes.claims import RememberingClaims
from tests.fakes.history import RememberingHistory
from tests.fakes.model import Step, SteppingLLM


class OneModel(ModelCatalogue):
    model = Model(id="m", owned_by="p", context_tokens=100, max_output_tokens=10)

    def models(self) -> list[Model]:
        return [self.model]

    def resolve(self, name: str | None) -> Model:
        if name not in (None, "m"):
            raise UnknownModel(("m",))
        return self.model


class PlainCursors(CursorCodec):
    def encode(self, query: PageQuery, next_id: str) -> str:
        return next_id

    def decode(self, query: PageQuery, cursor: str) -> str:
        return cursor


class Fine(Health):
    def is_ready(self) -> bool:
        return True

    def degraded(self) -> list[Degraded]:
        return []


class Whole:
    """The application over fakes, called as `client` from `address`."""

    def __init__(
        self,
        *steps: Step,
        rules: GateRules | None = None,
        authenticator: Authenticator | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        self.history = RememberingHistory()
        self.claims = RememberingClaims()
        self.llm = SteppingLLM(*steps)
        settings = Settings(_env_file=None)

        @asynccontextmanager
        async def running() -> AsyncIterator[Container]:
            container = wire(
                settings,
                llm=self.llm,
                catalogue=OneModel(),
                history=self.history,
                idempotency_store=self.claims,
                authenticator=authenticator,
                cursors=PlainCursors(),
                clock=clock or SystemClock(),
                metrics=Metrics(version="0", environment="test"),
                health=Fine(),
            )
            yield container
            await container.chat.idempotency.drain()
            await container.chat.answer_prompt.drain()

        gate = rules or GateRules.without_authentication(allow_anonymous=False, allowed_hosts=())
        self.lifecycle = Lifecycle()
        self.app: ASGIApp = create_app(
            Options(version="0", gate=gate, **options), running, self.lifecycle
        )

    @asynccontextmanager
    async def client(self, address: str = "127.0.0.1") -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.ASGITransport(app=self.app, client=(address, 1))
        async with (
            lifespan(self.app),
            httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            yield client


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Start and stop `app` as a server does."""
    told: asyncio.Queue[Message] = asyncio.Queue()
    said: asyncio.Queue[Message] = asyncio.Queue()

    async def in_turn(wish: str) -> None:
        told.put_nowait({"type": f"lifespan.{wish}"})
        done = await said.get()
        assert done["type"] == f"lifespan.{wish}.complete", done

    living = asyncio.create_task(app({"type": "lifespan", "state": {}}, told.get, said.put))
    await in_turn("startup")
    try:
        yield
    finally:
        await in_turn("shutdown")
        await living
