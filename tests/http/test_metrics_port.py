"""Figures on a port of their own: of a service, whose callers then do not see them, and of a worker, which has no other."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.healthcheck import exit_code_for
from tests.support.service import (
    ROOT,
    Service,
    environment,
    plain_client,
    running_service,
    watched_worker,
)

PATIENCE_SECONDS = 120.0


def port_of_figures(service: Service) -> int:
    (line,) = service.lines_with("metrics on http://127.0.0.1:")
    found = re.search(r"metrics on http://127\.0\.0\.1:(\d+)", line)
    assert found is not None
    return int(found[1])


def beside(port: int) -> httpx2.Client:
    return plain_client(f"http://127.0.0.1:{port}")


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


@pytest.mark.slow
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


@pytest.fixture
def breaking(tmp_path: Path) -> Path:
    return tmp_path / "break-the-metrics-server"


@pytest.fixture
def breakable(tmp_path: Path, breaking: Path) -> Iterator[Service]:
    program = (str(ROOT / "tests" / "http" / "breakable_service.py"), str(breaking))
    with running_service(tmp_path / "data", {"METRICS_PORT": "0"}, program=program) as started:
        yield started


@pytest.mark.slow
@pytest.mark.seen("F1")
def test_the_collector_of_garbage_is_settled_once_however_many_servers_there_are(
    breakable: Service, breaking: Path
) -> None:
    breakable.lines_with("metrics on http://127.0.0.1:")
    breaking.touch()
    breakable.lines_with("the metrics server failed")
    breaking.unlink()
    breakable.lines_with("the metrics server serves again")
    assert breakable.stop() == 0
    assert len([line for line in breakable.log if "the collector is settled" in line]) == 1


@pytest.mark.slow
@pytest.mark.seen("F6")
def test_a_metrics_server_that_ends_is_told_of_and_started_again_on_its_port(
    breakable: Service, breaking: Path
) -> None:
    port = port_of_figures(breakable)
    with breakable.client() as client:
        assert client.get("/health/ready").json() == {"status": "ready", "degraded": []}
        breaking.touch()
        breakable.lines_with("the metrics server failed")
        (part,) = _ready(client, lambda found: bool(found["degraded"]))["degraded"]
        assert (part["component"], part["reason"]) == ("metrics server", "ended unexpectedly")
        assert client.get("/health/ready").status_code == 200, "chats need no figures"
        breaking.unlink()
        breakable.lines_with("the metrics server serves again", seconds=30.0)
        assert _ready(client, lambda found: not found["degraded"])["status"] == "ready"
        with beside(port) as figures:
            assert "rt_build_info" in figures.get("/metrics").text
    assert breakable.stop() == 0


@pytest.mark.slow
@pytest.mark.seen("F6")
def test_a_service_whose_metrics_server_is_down_stops_in_order(
    breakable: Service, breaking: Path
) -> None:
    breaking.touch()
    breakable.lines_with("starting it again in")
    assert breakable.stop(20.0) == 0


def _ready(client: httpx2.Client, is_so: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so(found := client.get("/health/ready").json()):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found
