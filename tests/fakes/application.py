"""The complete application over fakes that a test can make fail, without a process or a socket."""

import asyncio
from collections.abc import AsyncIterator, Mapping
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
from domain.interfaces.attachments import AttachmentStore
from domain.interfaces.clock import Clock
from domain.interfaces.credentials import Authenticator
from domain.interfaces.cursor_codec import CursorCodec, PageQuery
from domain.interfaces.health import Degraded, Health
from domain.interfaces.model_catalogue import ModelCatalogue
from domain.use_cases.background.run_answers import RunAnswers
from infra.clock import SystemClock
from infra.security.sealing import AesSivSealer
from infra.settings import Settings
from infra.telemetry.metrics.metrics import Metrics
from tests.fakes.answer_log import InMemoryAnswerLog
from tests.fakes.claims import InMemoryIdempotencyStore
from tests.fakes.conversation_records import InMemoryConversationRecords
from tests.fakes.embeddings import SteppingEmbeddings
from tests.fakes.history import InMemoryHistory
from tests.fakes.model import Step, SteppingLLM


class OneModel(ModelCatalogue):
    """A catalogue of a single model, `m`."""

    model = Model(id="m", owned_by="p", context_tokens=100, max_output_tokens=10)

    def models(self) -> list[Model]:
        return [self.model]

    def resolve(self, name: str | None) -> Model:
        if name not in (None, "m"):
            raise UnknownModel(("m",))
        return self.model


class SeveralModels(ModelCatalogue):
    """A catalogue of given models; the first one is the default."""

    def __init__(self, *models: Model) -> None:
        self._models = models

    def models(self) -> list[Model]:
        return list(self._models)

    def resolve(self, name: str | None) -> Model:
        for model in self._models:
            if name in (None, model.id):
                return model
        raise UnknownModel(tuple(model.id for model in self._models))


class PlainCursors(CursorCodec):
    """Cursors that are the id itself."""

    def encode(self, query: PageQuery, next_id: str) -> str:
        return next_id

    def decode(self, query: PageQuery, cursor: str) -> str:
        return cursor


class AlwaysHealthy(Health):
    """Ready, and nothing degraded."""

    def is_ready(self) -> bool:
        return True

    def degraded(self) -> list[Degraded]:
        return []


class ApplicationUnderTest:
    """The application over fakes, called as `client` from `address`."""

    def __init__(
        self,
        *steps: Step,
        rules: GateRules | None = None,
        authenticator: Authenticator | None = None,
        clock: Clock | None = None,
        catalogue: ModelCatalogue | None = None,
        attachments: AttachmentStore | None = None,
        settings: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.history = InMemoryHistory()
        self.claims = InMemoryIdempotencyStore()
        self.records = InMemoryConversationRecords()
        self.llm = SteppingLLM(*steps)
        self.embeddings = SteppingEmbeddings()
        all_settings = Settings(_env_file=None, **(settings or {}))

        @asynccontextmanager
        async def running() -> AsyncIterator[Container]:
            time = clock or SystemClock()
            self.answer_log = InMemoryAnswerLog(time)
            container = wire(
                all_settings,
                llm=self.llm,
                embeddings=self.embeddings,
                answer_log=self.answer_log,
                catalogue=catalogue or OneModel(),
                history=self.history,
                records=self.records,
                usage=self.history,
                idempotency_store=self.claims,
                authenticator=authenticator,
                cursors=PlainCursors(),
                sealer=AesSivSealer(b"a secret of tests"),
                clock=time,
                metrics=Metrics(version="0", environment="test"),
                health=AlwaysHealthy(),
                attachments=attachments,
            )
            self.container = container
            self.container = container
            yield container
            await container.background.answers.drain(seconds=5.0)
            await container.chat.idempotency.drain()
            await container.chat.answer_prompt.drain()

        gate = rules or GateRules.without_authentication(allow_anonymous=False, allowed_hosts=())
        self.lifecycle = Lifecycle()
        self.app: ASGIApp = create_app(
            Options(version="0", gate=gate, **options), running, self.lifecycle
        )

    def another_runner(self) -> RunAnswers:
        """Return what another process would make background answers with."""
        answers = self.container.background.answers
        return RunAnswers(answers.parts, answers.limits)

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
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()

    async def run_phase(phase: str) -> None:
        to_app.put_nowait({"type": f"lifespan.{phase}"})
        message = await from_app.get()
        assert message["type"] == f"lifespan.{phase}.complete", message

    scope = {"type": "lifespan", "state": {}}
    running = asyncio.create_task(app(scope, to_app.get, from_app.put))
    await run_phase("startup")
    try:
        yield
    finally:
        await run_phase("shutdown")
        await running
