"""`curl -N` shows each word as it comes."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from infra.selftest.fault import FIRST_TEXT
from tests.e2e.slowly import Slowly
from tests.support.service import Service

DOORS: dict[str, dict[str, Any]] = {
    "/v1/chat": {"userId": "ana", "userPrompt": "hi"},
    "/v1/chat/completions": {"user": "ana", "messages": [{"role": "user", "content": "hi"}]},
}
ENDS = {"/v1/chat": "event: done", "/v1/chat/completions": "data: [DONE]"}


@pytest.mark.parametrize("path", DOORS)
def test_the_first_word_is_there_before_the_last(
    service: Service, slowly: Slowly, path: str
) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl is installed")
    body = json.dumps({**DOORS[path], "stream": True})
    command = [curl, "-sN", "--noproxy", "*", "-H", "Content-Type: application/json", "-d", body]
    with subprocess.Popen(
        [*command, service.url + path], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if FIRST_TEXT in line:
                break
        assert not slowly.may_go_on.is_set()
        slowly.may_go_on.set()
        rest = running.stdout.read()
    assert running.returncode == 0
    assert "well." in rest
    assert ENDS[path] in rest
