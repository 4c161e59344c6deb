"""`python -m app.healthcheck`, which the image uses in place of curl."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.service import ROOT, running_service


def exit_code_for(port: int, *, as_argument: bool = False) -> int:
    """Return what it exits with when told the port in the environment, or on the command line, which wins."""
    return subprocess.run(
        [sys.executable, "-m", "app.healthcheck", *([str(port)] if as_argument else [])],
        cwd=ROOT,
        env={"PORT": "1" if as_argument else str(port)},
        timeout=30,
        check=False,
    ).returncode


class _Unhealthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(503)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_a_living_service_is_healthy_and_a_stopped_one_is_not(tmp_path: Path) -> None:
    with running_service(tmp_path / "data") as service:
        assert exit_code_for(service.port) == 0
    assert exit_code_for(service.port) == 1


def test_another_answer_than_200_is_unhealthy() -> None:
    with HTTPServer(("127.0.0.1", 0), _Unhealthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert exit_code_for(server.server_port) == 1
        finally:
            server.shutdown()
            thread.join()
