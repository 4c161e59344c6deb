"""An erasure on one host removes the logs of background answers on all others, behind an outbox as well."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import apsw
import httpx2
import pytest

from infra.answers.sqlite.store import ANSWERS_FILE
from infra.selftest.provider import FaultProvider
from tests.support.keyed_requests import held_up, until
from tests.support.mongod import shared_mongo_uri
from tests.support.service import running_service


@dataclass(frozen=True)
class TwoHosts:
    """Clients of two services, each with an outbox before the same store."""

    one: httpx2.Client
    other: httpx2.Client
    file: Path

    def begin(self, user: str) -> str:
        """Begin an answer on one host and return its id."""
        body = {"userId": user, "userPrompt": "hi", "background": True}
        response = self.one.post("/v1/chat", json=body)
        assert response.status_code == 202, response.text
        interaction_id: str = response.json()["id"]
        return interaction_id

    def logs(self) -> list[str]:
        """Return the ids of all logs of this host."""
        connection = apsw.Connection(str(self.file), flags=apsw.SQLITE_OPEN_READONLY)
        ids = [interaction_id for (interaction_id,) in connection.execute("SELECT id FROM answer")]
        connection.close()
        return ids


@pytest.fixture
def hosts(settings: dict[str, str], tmp_path: Path) -> Iterator[TwoHosts]:
    shared = {**settings, "MONGO_URI": shared_mongo_uri(), "MONGO_DB": f"h_{secrets.token_hex(4)}"}
    folders = [tmp_path / "one", tmp_path / "other"]
    with ExitStack() as stack:
        services = [stack.enter_context(running_service(folder, shared)) for folder in folders]
        one, other = [stack.enter_context(service.client()) for service in services]
        yield TwoHosts(one, other, folders[0] / ANSWERS_FILE)


def test_an_answer_that_is_made_ends_and_one_that_has_ended_is_not_served(
    hosts: TwoHosts, provider: FaultProvider
) -> None:
    ended = hosts.begin("ana")
    path = f"/v1/history/ana/{ended}/events"
    assert hosts.one.get(path).status_code == 200  # up to its end
    with held_up(provider, "healthy"):
        made = hosts.begin("eve")
        assert hosts.other.delete("/v1/history/eve").status_code == 200
        until(lambda: made not in hosts.logs())
        assert hosts.one.get(f"/v1/history/eve/{made}/events").status_code == 404
    assert hosts.logs() == [ended]
    assert hosts.other.delete(f"/v1/history/ana/{ended}").status_code == 204
    assert hosts.one.get(path).status_code == 404
    assert hosts.logs() == []
