"""One key, two machines: claims in MongoDB and DynamoDB are shared by all that use them."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from infra.selftest.provider import FaultProvider
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.keyed_requests import NATIVE, held_up, send, until
from tests.support.mongod import shared_mongo_uri
from tests.support.service import running_service


def mongo() -> dict[str, str]:
    return {"MONGO_URI": shared_mongo_uri(), "MONGO_DB": f"machines_{secrets.token_hex(4)}"}


def dynamodb() -> dict[str, str]:
    stack = deploy_data_stack(shared_emulator())
    return {
        "DYNAMODB_TABLE": stack.table,
        "AWS_ENDPOINT_URL": stack.emulator.url,
        "AWS_EMULATOR": "true",
    }


@pytest.mark.slow
@pytest.mark.parametrize("store", [mongo, dynamodb], ids=lambda store: store.__name__)
def test_of_fifty_on_two_machines_one_is_carried_out(
    settings: dict[str, str],
    tmp_path: Path,
    provider: FaultProvider,
    store: Callable[[], dict[str, str]],
) -> None:
    shared = {**settings, **store()}
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    with ExitStack() as stack:
        services = [
            stack.enter_context(running_service(folder / "data", shared)) for folder in folders
        ]
        clients = [stack.enter_context(services[number % 2].client()) for number in range(50)]
        calls = provider.count("healthy")
        with held_up(provider, "healthy") as go_on, ThreadPoolExecutor(50) as pool:
            answers = [pool.submit(send, client, NATIVE, "ana") for client in clients]
            until(lambda: sum(answer.done() for answer in answers) == 49)
            go_on.set()
            found = [answer.result(120) for answer in answers]
        assert sorted(response.status_code for response in found) == [200] + [409] * 49
        assert provider.count("healthy") == calls + 1
        (first,) = [response.json() for response in found if response.status_code == 200]
        for client in clients[:2]:
            until(lambda client=client: send(client, NATIVE, "ana").status_code == 200)  # type: ignore[misc]
            again = send(client, NATIVE, "ana")
            assert again.json() == first
            assert again.headers["Idempotency-Replayed"] == "true"
            history = client.get("/v1/history/ana").json()["history"]
            assert [item["id"] for item in history] == [first["id"]]
        assert clients[0].delete("/v1/history/ana").json() == {"deleted": 1}
        assert "Idempotency-Replayed" not in send(clients[1], NATIVE, "ana").headers
