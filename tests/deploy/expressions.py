"""Every expression that somebody looks at or is woken by, and what it needs from the service."""

import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
DASHBOARDS = DEPLOY / "grafana" / "dashboards"

_STRINGS = re.compile(r'"[^"]*"')
_SELECTED = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_GROUPED = re.compile(r"\b(?:by|on|group_left|group_right|without)\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_NAME = re.compile(r"[a-zA-Z_:][\w:]*")
_WORDS = frozenset(
    [
        "max",
        "sum",
        "rate",
        "increase",
        "changes",
        "histogram_quantile",
        "scalar",
        "time",
        "and",
        "or",
        "unless",
        "offset",
        "m",
        "s",
    ]
)
MADE_BY_PROMETHEUS = frozenset({"up", "instance", "job", "le"})


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression, and where it stands."""

    where: str
    text: str

    def metrics(self) -> set[str]:
        """Return the names of the metrics, with their suffixes."""
        bare = _RANGE.sub("", _STRINGS.sub("", self.text))
        bare = re.sub(r"\{[^}]*\}", "", _GROUPED.sub("", bare))
        bare = re.sub(r"\b\d+(?:\.\d+)?[smh]?\b", "", bare)
        return set(_NAME.findall(bare)) - _WORDS - MADE_BY_PROMETHEUS

    def labels(self) -> set[str]:
        """Return the names of the labels that are selected or grouped by."""
        bare = _STRINGS.sub("", self.text)
        selected = {
            name
            for _, inside in _SELECTED.findall(bare)
            for name in re.findall(r"(\w+)\s*[=!]", inside)
        }
        grouped = {name for inside in _GROUPED.findall(bare) for name in _NAME.findall(inside)}
        return (selected | grouped) - MADE_BY_PROMETHEUS


def rules() -> list[dict[str, Any]]:
    parsed = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in parsed["groups"] for rule in group["rules"]]


def dashboards(folder: Path = DASHBOARDS) -> dict[str, dict[str, Any]]:
    return {
        file.name: json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.json")
    }


def expressions() -> list[Expression]:
    """Return those of rules and panels; Grafana's own variable is as long as it would be at least."""
    return [*_of_rules(), *_of_panels()]


def _of_rules() -> Iterator[Expression]:
    for rule in rules():
        yield Expression(rule["alert"], rule["expr"])


def _of_panels() -> Iterator[Expression]:
    for name, page in dashboards().items():
        for panel in page["panels"]:
            for target in panel["targets"]:
                text = target["expr"].replace("$__rate_interval", "1m")
                yield Expression(f"{name}: {panel['title']}", text)


def generator() -> ModuleType:
    """Return deploy/grafana/generate.py, which is no package of ours."""
    spec = importlib.util.spec_from_file_location("generate", DEPLOY / "grafana" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
