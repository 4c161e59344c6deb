"""The health check as a process."""

import json
import re
import subprocess
import sys

from tests.support.service import ROOT


def image_command() -> list[str]:
    """Return the command by which the image checks its health."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    command: list[str] = json.loads(
        re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", text, re.MULTILINE)[0]
    )
    return command


def exit_code_for(port: int, *, as_argument: bool = False, host: str | None = None) -> int:
    """Return what it exits with when told the port in the environment, or on the command line, which wins."""
    listening = {} if host is None else {"HOST": host}
    program, *arguments = image_command()
    assert program == "python"
    return subprocess.run(
        [sys.executable, *arguments, *([str(port)] if as_argument else [])],
        cwd=ROOT,
        env={"PORT": "1" if as_argument else str(port), **listening},
        timeout=30,
        check=False,
    ).returncode
