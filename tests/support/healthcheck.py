"""The health check as a process."""

import subprocess
import sys

from tests.support.service import ROOT


def exit_code_for(port: int, *, as_argument: bool = False, host: str | None = None) -> int:
    """Return what it exits with when told the port in the environment, or on the command line, which wins."""
    listening = {} if host is None else {"HOST": host}
    return subprocess.run(
        [sys.executable, "-m", "app.cli.healthcheck", *([str(port)] if as_argument else [])],
        cwd=ROOT,
        env={"PORT": "1" if as_argument else str(port), **listening},
        timeout=30,
        check=False,
    ).returncode
