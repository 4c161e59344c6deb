"""`python main.py serve` at a terminal: what is shown at the start, and what Ctrl-C does."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.service import ROOT, environment, plain_client

INTERRUPT = b"\x03"
START_SECONDS = 120
AT_ITS_TERMINAL = """
import os, sys
os.login_tty(0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Terminal:
    """A service that has a terminal of its own."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", AT_ITS_TERMINAL, str(ROOT / "main.py"), "serve"],
            cwd=data_dir.parent,
            env=environment(data_dir, settings),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.shown = ""

    def read_until(self, text: str) -> str:
        """Return everything shown so far, once it has `text`."""
        while text not in self.shown:
            self.shown += os.read(self._ours, 65536).decode().replace("\r\n", "\n")
        return self.shown

    def press_ctrl_c(self) -> None:
        os.write(self._ours, INTERRUPT)

    def end(self) -> int:
        """Read what is shown until the process has ended; return its exit code."""
        try:
            while True:
                self.read_until("\0")
        except OSError:  # how Linux reports that the other side of a terminal is closed
            return self._process.wait(START_SECONDS)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


@contextmanager
def terminal(data_dir: Path, **settings: str) -> Iterator[Terminal]:
    shown = Terminal(data_dir, **settings)
    try:
        yield shown
    finally:
        shown.close()


def test_the_start_shows_the_addresses_and_which_model_answers(data_dir: Path) -> None:
    with terminal(data_dir) as service:
        shown = service.read_until("Ctrl-C")
        (url,) = re.findall(r"API +(http://127\.0\.0\.1:\d+)/v1\n", shown)
        assert f"Console  {url}/\n" in shown
        assert f"Docs     {url}/docs\n" in shown
        assert "Model    demo: scripted answers without an LLM" in shown
        assert "GEMINI_API_KEY" in shown
        with plain_client(url) as client:
            answer = client.post("/v1/chat", json={"userId": "ana", "userPrompt": "hi"})
        assert answer.status_code == 200
        assert "/v1/chat 200" in service.read_until("/v1/chat 200")
        assert "{" not in service.shown
        service.press_ctrl_c()
        assert service.end() == 0
    assert "stopped" in service.shown
    assert "Traceback" not in service.shown


def test_a_configured_model_is_named_with_the_setting_that_enables_it(data_dir: Path) -> None:
    settings = {"GEMINI_API_KEY": "made-up", "CONSOLE_ENABLED": "false", "DOCS_ENABLED": "false"}
    with terminal(data_dir, HOST="0.0.0.0", ALLOW_ANONYMOUS="true", **settings) as service:
        shown = service.read_until("Ctrl-C")
    assert re.search(r"API +http://127\.0\.0\.1:\d+/v1\n", shown)
    assert re.search(r"Model    gemini-\S+ of gemini, since GEMINI_API_KEY is set\n", shown)
    assert "made-up" not in shown
    assert "Console" not in shown
    assert "Docs" not in shown


@pytest.mark.slow
def test_json_lines_stay_json_at_a_terminal(data_dir: Path) -> None:
    with terminal(data_dir, LOG_FORMAT="json") as service:
        service.read_until("listening on")
        service.press_ctrl_c()
        assert service.end() == 0
    lines = service.shown.replace("^C", "").splitlines()  # what a terminal shows of the key
    messages = [json.loads(line)["message"] for line in lines]
    assert messages[-1] == "stopped"
    assert "Console" not in service.shown


@pytest.mark.parametrize("module", ["app.cli.parser", "dependency_injection"])
def test_ctrl_c_while_modules_are_imported_shows_no_stack(tmp_path: Path, module: str) -> None:
    program = f"""
import runpy, sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == {module!r}: raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = ["serve"]
runpy.run_path({str(ROOT / "main.py")!r}, run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(tmp_path, {}) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 130
    assert "Traceback" not in done.stdout + done.stderr
