"""Many readers of one answer, in the process that makes it, in another one, and after a restart: equal bytes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.support.background_answers import Answers, store_settings
from tests.support.paced_provider import paced_provider
from tests.support.service import Service, running_service


@pytest.mark.parametrize(
    ("store", "readers"),
    [
        ("mongodb", 20),
        *(
            pytest.param(store, 100, marks=pytest.mark.faults)
            for store in ("mongodb", "mongodb direct", "dynamodb direct")
        ),
    ],
)
def test_all_readers_have_the_same_bytes(tmp_path: Path, store: str, readers: int) -> None:
    """Half of the readers are in another process; they come while the answer is made."""
    with (
        paced_provider(words=40, gap_seconds=0.03) as provider,
        store_settings(store, tmp_path, provider.settings(tmp_path)) as settings,
    ):
        limits = {"CALLER_REQUESTS_PER_MINUTE": "1000000"}
        folder = "other" if store.endswith("direct") else "one"
        with (
            running_service(tmp_path / "one", {**settings, **limits}) as one,
            running_service(tmp_path / folder, {**settings, **limits}) as other,
            ThreadPoolExecutor(readers) as pool,
        ):
            interaction_id = Answers(one).begin("for many")
            path = f"/v1/history/ana/{interaction_id}/events"

            def read(service: Service) -> bytes:
                with service.client() as client:
                    return _read(client, path)

            bodies = set(pool.map(read, [one, other] * (readers // 2)))
            (call,) = provider.calls_of("for many")
            assert call.is_whole
            bodies |= {read(one), read(other)}
        with running_service(tmp_path / "one", settings) as again, again.client() as client:
            bodies.add(_read(client, path))
            (body,) = bodies
            numbers = [line for line in body.split(b"\n") if line.startswith(b"id: ")]
            assert numbers == [b"id: %d" % number for number in range(len(numbers))]
            half = len(numbers) // 2
            assert body.endswith(_read(client, f"{path}?after={half}"))
            assert b"event: done" in body


def _read(client: httpx2.Client, path: str) -> bytes:
    response = client.get(path)
    assert response.status_code == 200, response.text
    return response.content.replace(b": ping\n", b"")
