"""A service that is killed between an attachment and its interaction leaves neither without the other."""

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from domain.entities.items import attachment_id
from domain.interfaces.attachments import AttachmentStore
from domain.interfaces.history import HistoryRepository
from domain.use_cases.sweep_attachments import SweepAttachments
from infra.attachments.disk import open_disk_attachments
from infra.attachments.gridfs import open_gridfs_attachments
from infra.clock import SystemClock
from infra.history.mongo.store import open_mongo
from infra.history.sqlite.store import open_sqlite
from tests.contracts.history_walks import EVERY_STATUS, asking, walk
from tests.support.mongod import shared_mongo_uri
from tests.support.service import ROOT, running_service

DYING = str(ROOT / "tests" / "faults" / "dying_service.py")
READ_SECONDS = 10.0
SHORT, LONG = 2, 20


class Place:
    """Where a service stores history and attachments."""

    def __init__(self, data_dir: Path, *, is_mongo: bool) -> None:
        self.data_dir = data_dir
        self.database = f"rt_{secrets.token_hex(6)}"
        self.uri = shared_mongo_uri() if is_mongo else None
        self.settings = (
            {"MONGO_URI": self.uri, "MONGO_DB": self.database, "OUTBOX_ENABLED": "false"}
            if self.uri is not None
            else {}
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[HistoryRepository, AttachmentStore]]:
        """Open both, as the next process does."""
        clock = SystemClock()
        async with AsyncExitStack() as stack:
            if self.uri is None:
                yield (
                    await stack.enter_async_context(
                        open_sqlite(
                            self.data_dir,
                            clock=clock,
                            read_seconds=READ_SECONDS,
                            min_free_disk_bytes=0,
                        )
                    ),
                    await stack.enter_async_context(
                        open_disk_attachments(self.data_dir, clock=clock, min_free_disk_bytes=0)
                    ),
                )
            else:
                yield (
                    await stack.enter_async_context(
                        open_mongo(
                            self.uri,
                            database=self.database,
                            clock=clock,
                            read_seconds=READ_SECONDS,
                        )
                    ),
                    await stack.enter_async_context(
                        open_gridfs_attachments(self.uri, database=self.database, clock=clock)
                    ),
                )


@pytest.fixture(params=["embedded", "mongodb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path / "data", is_mongo=request.param == "mongodb")


TIMES = pytest.mark.parametrize("times", [SHORT, pytest.param(LONG, marks=pytest.mark.faults)])


def image(number: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + number.to_bytes(4) * 1000


def ask(client: httpx2.Client, number: int) -> httpx2.Response:
    data = base64.b64encode(image(number)).decode()
    attached = {"mediaType": "image/png", "data": data}
    body = {"userId": "ana", "userPrompt": f"question {number}", "attachments": [attached]}
    return client.post("/v1/chat", json=body)


async def verify(place: Place, kept: set[int]) -> None:
    """Sweep once, then compare attachments and interactions both ways, and with what has to be there."""
    async with place.opened() as (history, attachments):
        sweep = SweepAttachments(
            attachments, history, SystemClock(), grace_seconds=-1.0, second_look_seconds=0.0
        )
        await sweep()
        found = {one.id: one for one in await walk(history, asking(statuses=EVERY_STATUS))}
        references = {
            (reference.attachment_id, interaction_id)
            async for reference in attachments.references()
            for interaction_id in reference.interaction_ids
        }
        pointed_to = {
            (content_id, one.id) for one in found.values() for content_id in one.content_ids
        }
        assert references == pointed_to
        for content_id, _ in references:
            assert await attachments.get("ana", content_id) is not None
        expected = {attachment_id("ana", image(number)) for number in kept}
        assert expected <= {content_id for content_id, _ in references}


@TIMES
async def test_killed_between_attachment_and_interaction(place: Place, times: int) -> None:
    for number in range(times):
        with running_service(place.data_dir, place.settings, program=(DYING, "put")) as service:
            with service.client() as client, pytest.raises(httpx2.HTTPError):
                ask(client, number)
            service.process.wait(10)
    with running_service(place.data_dir, place.settings) as service, service.client() as client:
        assert ask(client, times).status_code == 200
    await verify(place, {times})


@TIMES
async def test_killed_between_erasure_and_attachment(place: Place, times: int) -> None:
    with running_service(place.data_dir, place.settings) as service, service.client() as client:
        ids = [ask(client, number).json()["id"] for number in range(times + 1)]
    for number in range(times):
        with running_service(place.data_dir, place.settings, program=(DYING, "release")) as service:
            with service.client() as client, suppress(httpx2.HTTPError):
                client.delete(f"/v1/history/ana/{ids[number]}")
            service.process.wait(10)
    await verify(place, {times})
    async with place.opened() as (_, attachments):
        left = [one.attachment_id async for one in attachments.references()]
    assert left == [attachment_id("ana", image(times))]
