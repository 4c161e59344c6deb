"""The health check of the image, `python -m app.cli.healthcheck`, which it uses in place of curl."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import pytest

from tests.support.healthcheck import exit_code_for
from tests.support.service import running_service


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


HOSTS = ["127.0.0.1", "0.0.0.0", "localhost", "127.0.0.2", "::", "::1", "0:0::0"]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.seen("E6")
@pytest.mark.parametrize("host", HOSTS)
def test_it_asks_where_the_service_and_its_metrics_listen(tmp_path: Path, host: str) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    settings = {"HOST": host, "METRICS_PORT": "0"}
    with running_service(tmp_path / "data", settings) as service:
        (line,) = service.lines_with("metrics on ")[:1]
        metrics_port = json.loads(line)["server"]["port"]
        assert exit_code_for(service.port, host=host) == 0
        assert exit_code_for(metrics_port, as_argument=True, host=host) == 0
    assert exit_code_for(service.port, host=host) == 1


@pytest.mark.seen("E6")
def test_a_service_on_one_address_is_not_asked_on_another(tmp_path: Path) -> None:
    with running_service(tmp_path / "data", {"HOST": "127.0.0.2"}) as service:
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"http://127.0.0.1:{service.port}/health/live", trust_env=False)
        assert exit_code_for(service.port, host="127.0.0.2") == 0
        assert (
            exit_code_for(service.port, host="") == 1
        )  # as the service does, it goes by the default
