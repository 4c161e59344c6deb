"""The composition's profile aws-local, without containers: its settings, in processes of this machine."""

import secrets
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings import Settings
from tests.support.aws_emulator import shared_emulator
from tests.support.healthcheck import image_command
from tests.support.service import ROOT, running_service, watched_worker

EMULATOR = "http://emulator:4566"
OF_THE_CONTAINER = {"HOST", "PORT", "DATA_DIR"}


@pytest.fixture
def parts() -> dict[str, Any]:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return {name: part for name, part in services.items() if part.get("profiles") == ["aws-local"]}


def test_it_consists_of_a_service_a_worker_and_an_emulator(parts: dict[str, Any]) -> None:
    assert set(parts) == {"service-aws", "worker", "emulator"}
    assert parts["worker"]["command"] == ["worker"]
    assert parts["worker"]["healthcheck"]["test"] == ["CMD", *image_command(), "9000"]
    for part in (parts["service-aws"], parts["worker"]):
        known = {name.upper() for name in Settings.model_fields}
        assert set(part["environment"]) <= known
        assert part["environment"]["AWS_ENDPOINT_URL"] == EMULATOR
        assert part["environment"]["AWS_EMULATOR"] == "true"
        assert part["depends_on"]["emulator"]["required"] is False


@pytest.mark.slow
def test_what_is_asked_there_is_stored_by_its_worker(tmp_path: Path, parts: dict[str, Any]) -> None:
    emulator, name = shared_emulator(), f"composed-{secrets.token_hex(4)}"

    def settings(part: str) -> dict[str, str]:
        return {
            key: value.replace(EMULATOR, emulator.url).replace("interactions", name)
            for key, value in parts[part]["environment"].items()
            if key not in OF_THE_CONTAINER and key != "METRICS_PORT"
        }

    with (
        running_service(tmp_path / "data", settings("service-aws")) as service,
        watched_worker(tmp_path / "worker", settings("worker")),
        service.client() as client,
    ):
        asked = client.post("/v1/chat", json={"userId": "ana", "userPrompt": "hi"})
        assert asked.status_code == 200
        page = client.get(
            "/v1/history/ana", params={"afterId": asked.json()["id"], "wait": 5}
        ).json()
    assert page["complete"] is True
    assert [item["id"] for item in page["history"]] == [asked.json()["id"]]
