"""Chats through the service while the credentials of its role expire again and again."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from tests.fakes.aws_credentials import FakeCredentials
from tests.fakes.bedrock import FakeBedrock
from tests.support.service import running_service

MODELS = """
default = "nova"
[providers.aws]
kind = "bedrock"
region = "us-east-1"
base_url = "{url}"
allow_http = true

[models.nova]
provider = "aws"
upstream = "us.amazon.nova-micro-v1:0"
"""
ROTATIONS = 4


@pytest.mark.slow
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_no_chat_fails_while_credentials_rotate(tmp_path: Path, is_streamed: bool) -> None:
    async with (
        FakeCredentials(seconds=2.0) as source,
        FakeBedrock(keys=source.keys, api_key=None) as bedrock,
    ):
        models = tmp_path / "models.toml"
        models.write_text(MODELS.format(url=bedrock.base_url), encoding="utf-8")
        settings = source.environment | {
            "MODELS_FILE": str(models),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(tmp_path / "no config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no credentials"),
        }
        service = running_service(tmp_path / "data", settings)
        started = await asyncio.to_thread(service.__enter__)
        try:
            async with httpx2.AsyncClient(base_url=started.url, timeout=30.0) as client:
                chats = 0
                while len(set(bedrock.signers)) < ROTATIONS:
                    body = {"userId": "ana", "userPrompt": "Hi", "stream": is_streamed}
                    answers = await asyncio.gather(
                        *[client.post("/v1/chat", json=body) for _ in range(5)]
                    )
                    chats += len(answers)
                    for answer in answers:
                        assert answer.status_code == 200, answer.text
                        assert "Hello" in answer.text
                        assert "event: error" not in answer.text
                history = (await client.get("/v1/history/ana", params={"limit": 100})).json()
        finally:
            await asyncio.to_thread(service.__exit__, None, None, None)
    assert chats == len(bedrock.signers)
    for interaction in history["history"]:
        assert [attempt["outcome"] for attempt in interaction["attempts"]] == ["ok"]
