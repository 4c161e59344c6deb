"""The commands of docs/running.md that install with pip alone."""

import json
import os
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks

pytestmark = pytest.mark.skipif(
    not os.environ.get("CI"), reason="it installs all packages with pip, which takes a minute"
)
NEEDED = ("app", "commands", "domain", "infra", "main.py", "dependency_injection.py")


@pytest.mark.slow
def test_pip_alone_installs_what_the_service_needs(tmp_path: Path) -> None:
    for name in NEEDED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    (block,) = [
        block.text
        for block in blocks("docs/running.md")
        if block.language == "sh" and "python3 -m venv" in block.text
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PORT": "0"}
    process = subprocess.Popen(
        ["sh", "-ec", block],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        events = (json.loads(line) for line in process.stdout if line.startswith(b"{"))
        port = next(event["server"]["port"] for event in events if "server" in event)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live") as response:
            assert response.status == 200
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
