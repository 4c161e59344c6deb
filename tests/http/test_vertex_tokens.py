"""Chats through the service while the access tokens of Vertex AI expire again and again."""

import asyncio
import time
from pathlib import Path

import httpx2
import pytest

from tests.fakes.google_tokens import FakeTokenServer
from tests.fakes.vertex import FakeVertex
from tests.support.service import running_service

MODELS = """
default = "flash"
[providers.vertex]
kind = "gemini"
base_url = "{url}"
auth = "google"
allow_http = true

[models.flash]
provider = "vertex"
"""
ROTATIONS = 3


@pytest.mark.slow
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_no_chat_fails_while_tokens_rotate(tmp_path: Path, is_streamed: bool) -> None:
    async with FakeTokenServer(time.monotonic) as tokens, FakeVertex(tokens) as vertex:
        tokens.lifetime_seconds = 3
        tokens.write_key_file(tmp_path / "key.json")
        settings = {
            "MODELS_TOML": MODELS.format(url=vertex.base_url),
            "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json"),
            "GOOGLE_CLOUD_PROJECT": "project",
        }
        service = running_service(tmp_path / "data", settings)
        started = await asyncio.to_thread(service.__enter__)
        try:
            async with httpx2.AsyncClient(base_url=started.url, timeout=30.0) as client:
                body = {"userId": "ana", "userPrompt": "Hi", "stream": is_streamed}
                while len({seen.headers["Authorization"] for seen in vertex.seen}) < ROTATIONS:
                    answers = await asyncio.gather(
                        *[client.post("/v1/chat", json=body) for _ in range(5)]
                    )
                    for answer in answers:
                        assert answer.status_code == 200, answer.text
                        assert "Hello" in answer.text
                        assert "event: error" not in answer.text
                history = (await client.get("/v1/history/ana", params={"limit": 100})).json()
        finally:
            await asyncio.to_thread(service.__exit__, None, None, None)
    for interaction in history["history"]:
        assert [attempt["outcome"] for attempt in interaction["attempts"]] == ["ok"]
