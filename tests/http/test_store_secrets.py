"""Passwords of stores and queues: in no answer, no line of the log and no file, also while nothing works."""

from pathlib import Path

import pytest

from tests.support.service import command, running_service

PASSWORD = "canary-of-a-store-9c41"
AWAY = {
    "mongo": {"MONGO_URI": f"mongodb://root:{PASSWORD}@127.0.0.1:1/?authSource=admin"},
    "dynamodb and sqs": {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_EMULATOR": "true",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": PASSWORD,
        "AWS_SESSION_TOKEN": PASSWORD,
        "DYNAMODB_TABLE": "interactions",
        "SQS_QUEUE_URL": "http://127.0.0.1:1/000000000000/interactions",
    },
}
UNUSABLE = [
    {"MONGO_URI": f"mongodb://ro:ot:{PASSWORD}@127.0.0.1:1/"},
    {"OPENAI_BASE_URL": f"https://root:{PASSWORD}@models.example/v1", "OPENAI_MODEL": "m"},
    {"AUTHENTICATION": "api_keys", "API_KEYS": f"id={PASSWORD}"},
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("store", AWAY)
def test_a_store_that_is_away_does_not_bring_its_password_out(data_dir: Path, store: str) -> None:
    settings = {**AWAY[store], "LOG_LEVEL": "debug", "HISTORY_READ_SECONDS": "0.5"}
    with running_service(data_dir, settings) as service, service.client() as client:
        body = {"userId": "ana", "userPrompt": "hi"}
        answers = [
            client.post("/v1/chat", json=body),
            client.post("/v1/chat", json=body, headers={"Idempotency-Key": "k"}),
            client.get("/v1/history/ana"),
            client.delete("/v1/history/ana"),
            client.get("/health/ready"),
            client.get("/metrics"),
        ]
        assert [answer.status_code for answer in answers] == [200, 503, 503, 503, 200, 200]
        assert service.stop() == 0
        assert any('"warning"' in line for line in service.log)  # something was said of it
        told = [
            *(answer.text + str(answer.headers) for answer in answers),
            *service.log,
            *(
                path.read_bytes().decode("latin-1")
                for path in data_dir.rglob("*")
                if path.is_file()
            ),
        ]
    for text in told:
        assert PASSWORD not in text
    for path in data_dir.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("settings", UNUSABLE, ids=lambda settings: "-".join(settings))
def test_a_setting_that_is_refused_is_not_shown(data_dir: Path, settings: dict[str, str]) -> None:
    done = command(data_dir, "serve", **settings)
    assert done.returncode == 78
    assert PASSWORD not in done.stdout + done.stderr
