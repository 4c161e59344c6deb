"""Dashboards and alerts as Grafana reads them."""

import json
from pathlib import Path

import pytest
import yaml

from tests.deploy.expressions import DASHBOARDS, DEPLOY, dashboards, generator, rules

GRAFANA = DEPLOY / "grafana"
FOLDERS = [DASHBOARDS, GRAFANA / "cloudwatch"]


def test_what_is_committed_is_what_the_sources_say(tmp_path: Path) -> None:
    generator().main(tmp_path)
    written = {file.relative_to(tmp_path): file.read_text() for file in tmp_path.rglob("*.json")}
    committed = {file.relative_to(GRAFANA): file.read_text() for file in GRAFANA.rglob("*.json")}
    assert committed == written, "run: python deploy/grafana/generate.py"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_panels_have_ids_and_places_of_their_own(folder: Path) -> None:
    pages = dashboards(folder)
    assert len(pages) == 3
    for page in pages.values():
        ids = [panel["id"] for panel in page["panels"]]
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in page["panels"]]
        assert len(set(ids)) == len(set(places)) == len(page["panels"]) > 0
        for panel in page["panels"]:
            assert panel["title"]
            assert panel["description"]
            letters = [target["refId"] for target in panel["targets"]]
            assert len(set(letters)) == len(letters) > 0


def test_addresses_of_dashboards_are_their_own() -> None:
    uids = [page["uid"] for folder in FOLDERS for page in dashboards(folder).values()]
    assert len(set(uids)) == len(uids)


def test_the_same_is_shown_over_cloudwatch() -> None:
    for name, page in dashboards().items():
        over_cloudwatch = dashboards(FOLDERS[1])[name]
        assert [one["title"] for one in over_cloudwatch["panels"]] == [
            one["title"] for one in page["panels"]
        ]


def test_every_alert_of_prometheus_is_one_of_grafana_too() -> None:
    provisioned = json.loads((GRAFANA / "provisioning/alerting/alerts.json").read_text())
    found = {
        rule["title"]: rule["data"][0]["model"]["expr"]
        for group in provisioned["groups"]
        for rule in group["rules"]
    }
    assert found == {rule["alert"]: rule["expr"] for rule in rules()}


def test_alerts_ask_the_data_source_that_is_provisioned() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())
    provisioned = json.loads((GRAFANA / "provisioning/alerting/alerts.json").read_text())
    asked = {
        data["datasourceUid"]
        for group in provisioned["groups"]
        for rule in group["rules"]
        for data in rule["data"]
    }
    assert asked == {source["uid"] for source in sources["datasources"]} | {"__expr__"}


def test_the_compose_profile_mounts_what_is_there() -> None:
    services = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())["services"]
    watching = {name for name, one in services.items() if one.get("profiles") == ["observability"]}
    assert watching == {"prometheus", "grafana"}
    for name in watching:
        for volume in services[name]["volumes"]:
            source = volume.partition(":")[0]
            assert not source.startswith(".") or (DEPLOY.parent / source).is_dir()


def test_prometheus_reads_the_ports_the_composition_serves_figures_on() -> None:
    services = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())["services"]
    (job,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    read = {
        tuple(target.split(":")) for one in job["static_configs"] for target in one["targets"]
    } | {(name, str(one["port"])) for one in job["dns_sd_configs"] for name in one["names"]}
    served = {
        (name, one["environment"].get("METRICS_PORT") or one["environment"]["PORT"])
        for name, one in services.items()
        if "DATA_DIR" in one.get("environment", {})
    }
    assert read == served
    assert services["worker"]["healthcheck"]["test"][-1] == dict(served)["worker"]
    (asked,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert asked["url"] == "http://prometheus:9090"
