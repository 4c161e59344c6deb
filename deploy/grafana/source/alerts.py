"""Prometheus's alert rules as Grafana's provisioned alerts."""

import re
from typing import Any

Json = dict[str, Any]

DATASOURCE = "rt-prometheus"

_LOOK_BACK_SECONDS = 1200
# Grafana has another name for the value of the query; functions and labels have the same names.
_VALUE = re.compile(r"\$value\b")


def grafana_alerts(rules: Json) -> Json:
    """Return the contents of a provisioning file.

    Args:
        rules: A Prometheus rule file, parsed.
    """
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": group["name"],
                "folder": "rt-genai",
                "interval": "1m",
                "rules": [_rule(rule) for rule in group["rules"]],
            }
            for group in rules["groups"]
        ],
    }


def _rule(rule: Json) -> Json:
    annotations = {
        name: _VALUE.sub("$values.A.Value", text) for name, text in rule["annotations"].items()
    }
    return {
        "uid": f"rt-{rule['alert']}".lower(),
        "title": rule["alert"],
        "condition": "B",
        "for": rule.get("for", "0s"),
        "noDataState": "OK",  # an expression that holds for nothing returns nothing
        "execErrState": "Error",
        "labels": rule["labels"],
        "annotations": annotations,
        "data": [
            {
                "refId": "A",
                "relativeTimeRange": {"from": _LOOK_BACK_SECONDS, "to": 0},
                "datasourceUid": DATASOURCE,
                "model": {"refId": "A", "expr": rule["expr"], "instant": True},
            },
            {
                "refId": "B",
                "datasourceUid": "__expr__",
                "model": {"refId": "B", "type": "math", "expression": "is_number($A)"},
            },
        ],
    }
