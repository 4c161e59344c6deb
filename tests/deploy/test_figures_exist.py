"""What is looked at is really there: the running service's own /metrics, and a Prometheus that reads them."""

import asyncio
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from infra.history.sqs.envelope import message_of
from infra.storage.aws.client import open_client
from tests.deploy.expressions import DEPLOY, RULES, Expression, expressions
from tests.fakes.interactions import an_interaction
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.service import Service, running_service, watched_worker

PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that has answered, with an outbox: its store is nowhere to be found."""
    settings = {"MONGO_URI": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200"}
    with running_service(tmp_path_factory.mktemp("service") / "data", settings) as started:
        ask(started)
        yield started


def ask(service: Service) -> None:
    with service.client() as client:
        answer = client.post("/v1/chat", json={"userId": "ana", "userPrompt": "Are you there?"})
        assert answer.status_code == 200
        assert client.get("/nowhere").status_code == 404


def figures(text: str) -> dict[str, set[str]]:
    """Return every sample's name with its labels."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A worker that has stored a message and buried one."""
    stack = deploy_data_stack(shared_emulator())

    async def send() -> None:
        async with open_client("sqs", stack.emulator.access, tries=1) as sqs:
            for body in (await message_of(an_interaction()), "not a message of ours"):
                await sqs("send_message", QueueUrl=stack.queues.queue_url, MessageBody=body)

    with watched_worker(tmp_path_factory.mktemp("worker") / "data", stack.settings) as started:
        asyncio.run(send())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not {"rt_queue_buried_total", "rt_queue_dead_letters"} <= told_by(started).keys():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield started


def told_by(service: Service) -> dict[str, set[str]]:
    with service.client() as client:
        return figures(client.get("/metrics").text)


@pytest.fixture(scope="module")
def there(service: Service, worker: Service) -> dict[str, set[str]]:
    of_a_service, of_a_worker = told_by(service), told_by(worker)
    names = of_a_service.keys() | of_a_worker.keys()
    return {name: of_a_service.get(name, set()) | of_a_worker.get(name, set()) for name in names}


@pytest.mark.parametrize("expression", expressions(), ids=lambda one: one.where)
def test_every_metric_and_label_that_is_asked_for_exists(
    expression: Expression, there: dict[str, set[str]]
) -> None:
    named = expression.metrics()
    assert named - {"up"} <= there.keys()
    labels = set().union(*(there.get(name, set()) for name in named))
    assert expression.labels() <= labels | {"version"}


class Watching:
    """A Prometheus with our rules, reading a service and a worker every second."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def ask(self, expression: str) -> list[dict[str, object]]:
        answer = self._client.get("/api/v1/query", params={"query": expression})
        assert answer.status_code == 200, answer.text
        result: list[dict[str, object]] = answer.json()["data"]["result"]
        return result

    def ask_until_told(self, expression: str) -> list[dict[str, object]]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (told := self.ask(expression)):
            assert time.monotonic() < deadline, f"nothing is known of {expression}"
            time.sleep(0.1)
        return told

    def rules(self) -> list[dict[str, object]]:
        groups = self._client.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def watching(
    prometheus: str, service: Service, worker: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watching]:
    folder = tmp_path_factory.mktemp("prometheus")
    configuration = yaml.safe_load((RULES.parent / "prometheus.yml").read_text(encoding="utf-8"))
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(RULES)]
    (job,) = configuration["scrape_configs"]
    del job["dns_sd_configs"]  # names of the composition, which nobody here knows
    targets = [f"127.0.0.1:{one.port}" for one in (service, worker)]
    job["static_configs"] = [{"targets": targets}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    log = folder / "log"
    with log.open("w") as written:
        process = subprocess.Popen(
            [
                prometheus,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port_of(process, log)}"
        with httpx2.Client(base_url=url, timeout=10.0, trust_env=False) as client:
            yield Watching(client)
    finally:
        process.kill()
        process.wait(20)


def port_of(process: "subprocess.Popen[bytes]", log: Path) -> int:
    """Return the port the system chose for it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := re.search(r"=127\.0\.0\.1:([1-9]\d*)", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return int(found[1])


def test_a_running_prometheus_reads_a_running_service(watching: Watching) -> None:
    watching.ask_until_told('count(up{job="rt-genai"} == 1) == 2')
    watching.ask_until_told('gen_ai_client_operation_duration_seconds_count{error_type=""} >= 1')
    assert {rule["health"] for rule in watching.rules()} <= {"ok", "unknown"}


@pytest.mark.parametrize(
    "expression",
    [one for one in expressions() if "json" in one.where],
    ids=lambda one: one.where,
)
def test_every_panel_shows_something(
    watching: Watching, service: Service, expression: Expression
) -> None:
    ask(service)
    # a share of nothing is nothing
    text = expression.text.replace('{error_type!~"|blocked|cancelled"}', "")
    watching.ask_until_told(text)


def test_the_table_of_the_documents_names_every_metric_there_is(
    service: Service, worker: Service
) -> None:
    shown = set()
    for one in (service, worker):
        with one.client() as client:
            shown |= set(re.findall(r"^# TYPE (\S+)", client.get("/metrics").text, re.MULTILINE))
    text = (DEPLOY.parent / "docs" / "observability.md").read_text(encoding="utf-8")
    table = set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE))
    assert table == {name for name in shown if not name.startswith("process_")}


@pytest.mark.slow
def test_no_label_holds_what_a_caller_wrote(service: Service) -> None:
    with service.client() as client:
        for path in ("/canary-path-5c", "/v1/history/canary-user-5c", "/v1/models/canary-model-5c"):
            client.get(path)
        client.request("CANARY5C", "/v1/chat")
        body = {"userId": "canary-user-5c", "userPrompt": "hi", "model": "canary-model-5c"}
        assert client.post("/v1/chat", json=body).status_code == 422
        assert "canary" not in client.get("/metrics").text.lower()
