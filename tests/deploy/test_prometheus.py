"""Rules are read by Prometheus's own tool, and every alert has been made to fire."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.expressions import DEPLOY, RULES, expressions, rules

FOLDER = RULES.parent


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_configuration_and_its_rules_are_valid(promtool: str) -> None:
    checked = run(promtool, "check", "config", "prometheus.yml")
    assert checked.returncode == 0, checked.stderr


@pytest.mark.slow
def test_every_alert_fires_when_it_should_and_not_before(promtool: str) -> None:
    tested = run(promtool, "test", "rules", "rules_test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_there_is_a_firing_and_a_silent_moment_for_every_alert() -> None:
    tests = yaml.safe_load((FOLDER / "rules_test.yml").read_text(encoding="utf-8"))["tests"]
    asked = [moment for test in tests for moment in test["alert_rule_test"]]
    named = {rule["alert"] for rule in rules()}
    assert {one["alertname"] for one in asked if one["exp_alerts"]} == named
    assert {one["alertname"] for one in asked if not one["exp_alerts"]} == named


def test_every_panel_asks_what_prometheus_understands(promtool: str, tmp_path: Path) -> None:
    records = [
        {"record": f"panel:{number}", "expr": one.text} for number, one in enumerate(expressions())
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]}))
    checked = run(promtool, "check", "rules", file)
    assert checked.returncode == 0, checked.stderr


def test_every_alert_has_a_section_in_the_runbook_and_names_it() -> None:
    headings = re.findall(
        r"^### (\w+)$", (DEPLOY / "runbook.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(headings) == len(set(headings))
    for rule in rules():
        assert rule["alert"] in headings
        assert rule["annotations"]["runbook"] == f"deploy/runbook.md, {rule['alert']}"
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_every_section_of_the_runbook_says_what_it_means_where_to_look_and_what_to_do() -> None:
    text = (DEPLOY / "runbook.md").read_text(encoding="utf-8")
    sections = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    for section in sections:
        assert all(f"**{part}**" in section for part in ("Means", "Look at", "Do")), section[:20]


def test_every_section_of_the_runbook_belongs_to_an_alarm() -> None:
    text = (DEPLOY / "runbook.md").read_text(encoding="utf-8")
    clouds = (DEPLOY / "aws" / "stacks" / "rules.py").read_text(encoding="utf-8")
    of_aws = set(re.findall(r'\b(?:Rule|_must_be)\(\s*"(\w+)",', clouds))
    alarms = {rule["alert"] for rule in rules()} | of_aws
    assert len(of_aws) > 20
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == alarms
