"""Figures on a port of their own: of a service, whose callers then do not see them, and of a worker, which has no other."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.aws_emulator import shared_emulator
from tests.data_stack import deploy_data_stack
from tests.http.test_healthcheck import exit_code_for
from tests.service import ROOT, Service, environment, running_service, watched_worker

PATIENCE_SECONDS = 30.0


def port_of_figures(service: Service) -> int:
    (line,) = service.lines_with("metrics on http://127.0.0.1:")
    found = re.search(r"metrics on http://127\.0\.0\.1:(\d+)", line)
    assert found is not None
    return int(found[1])


def beside(port: int) -> httpx2.Client:
    return httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0, trust_env=False)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    data_dir = tmp_path_factory.mktemp("figures") / "data"
    with running_service(data_dir, {"METRICS_PORT": "0"}) as started:
        yield started


def test_figures_are_on_their_own_port_and_nowhere_else(service: Service) -> None:
    with service.client() as client, beside(port_of_figures(service)) as figures:
        assert client.get("/v1/models").status_code == 200
        assert client.get("/metrics").status_code == 404
        assert "/metrics" not in client.get("/openapi.json").json()["paths"]
        told = figures.get("/metrics")
        assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'http_route="/v1/models"' in told.text
        assert figures.get("/health/live").json() == {"status": "live"}
        assert figures.get("/v1/models").status_code == 404
        assert figures.post("/metrics").status_code == 405


def test_whoever_asks_there_leaves_no_line(service: Service) -> None:
    with beside(port_of_figures(service)) as figures:
        figures.get("/metrics", headers={"X-Request-Id": "scraped-by-prometheus"})
    with service.client() as client:
        client.get("/health/live", headers={"X-Request-Id": "asked-afterwards"})
    service.lines_with("asked-afterwards")
    assert not any("scraped-by-prometheus" in line for line in service.log)


def test_a_port_that_is_taken_is_one_line_and_exit_1(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = {"METRICS_PORT": str(taken.getsockname()[1])}
        ran = subprocess.run(
            [sys.executable, str(ROOT / "main.py"), "serve"],
            cwd=tmp_path,
            env=environment(tmp_path / "data", settings),
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 1
    line = ran.stdout.splitlines()[-1]
    assert b"cannot listen on 127.0.0.1 port" in line


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = deploy_data_stack(shared_emulator()).settings
    with watched_worker(tmp_path_factory.mktemp("worker") / "data", settings) as started:
        yield started


def test_a_worker_tells_how_much_waits(worker: Service) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with worker.client() as client:
            families = text_string_to_metric_families(client.get("/metrics").text)
            found = {family.name: family.samples for family in families}
        if "rt_queue_dead_letters" in found:
            break
        assert time.monotonic() < deadline, sorted(found)
        time.sleep(0.05)
    assert [sample.value for sample in found["rt_queue_messages"]] == [0.0]
    assert [sample.value for sample in found["rt_queue_dead_letters"]] == [0.0]
    assert "rt_build_info" in found


def test_a_worker_can_be_asked_whether_it_lives(worker: Service) -> None:
    assert exit_code_for(worker.port, as_argument=True) == 0


def test_every_line_of_a_worker_is_one_object(worker: Service) -> None:
    messages = {line["message"] for line in worker.lines()}
    assert "worker started" in messages
