"""Pages as Grafana's JSON, for Prometheus and for CloudWatch."""

from typing import Any

from source.panels import CloudWatch, Page, Panel

Json = dict[str, Any]

NAMESPACE = "RtGenAi"
SERVICE = "rt-genai"

_COLUMNS = 3
_WIDTH = 24 // _COLUMNS
_HEIGHT = 8
_SCHEMA = 39
_LETTERS = "ABCDEFGH"


def prometheus_dashboard(page: Page) -> Json:
    """Return the page over whatever Prometheus the viewer chooses."""
    source = {"type": "prometheus", "uid": "${datasource}"}
    panels = [
        _graph(
            panel,
            number,
            source,
            [
                {"refId": letter, "expr": one.expression, "legendFormat": one.legend}
                for letter, one in zip(_LETTERS, panel.prometheus, strict=False)
            ],
        )
        for number, panel in enumerate(page.panels)
    ]
    return _dashboard(page, "", panels, [_choice("datasource", "prometheus")])


def cloudwatch_dashboard(page: Page) -> Json:
    """Return the page over CloudWatch."""
    source = {"type": "cloudwatch", "uid": "${datasource}"}
    panels = [
        _graph(
            panel,
            number,
            source,
            [_query(one, letter) for letter, one in zip(_LETTERS, panel.cloudwatch, strict=False)],
        )
        for number, panel in enumerate(page.panels)
    ]
    return _dashboard(page, "-cloudwatch", panels, [_choice("datasource", "cloudwatch")])


def _query(wanted: CloudWatch, letter: str) -> Json:
    return {
        "refId": letter,
        "queryMode": "Metrics",
        "metricQueryType": 0,
        "metricEditorMode": 0,
        "region": "default",
        "namespace": NAMESPACE,
        "metricName": wanted.metric,
        "statistic": wanted.statistic,
        "period": "60",
        "matchExact": True,
        "dimensions": {"service": [SERVICE], **{name: ["*"] for name in wanted.per}},
        "label": " ".join(
            [
                f"{wanted.metric} {wanted.statistic}",
                *(f"${{PROP('Dim.{name}')}}" for name in wanted.per),
            ]
        ),
    }


def _graph(panel: Panel, number: int, source: Json, targets: list[Json]) -> Json:
    row, column = divmod(number, _COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.says,
        "datasource": source,
        "gridPos": {"h": _HEIGHT, "w": _WIDTH, "x": column * _WIDTH, "y": row * _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [target | {"datasource": source} for target in targets],
    }


def _choice(name: str, kind: str) -> Json:
    return {"name": name, "type": "datasource", "query": kind, "label": "Data source"}


def _dashboard(page: Page, suffix: str, panels: list[Json], variables: list[Json]) -> Json:
    return {
        "uid": f"{page.uid}{suffix}",
        "title": f"{page.title}{' (CloudWatch)' if suffix else ''}",
        "tags": ["rt-genai"],
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": _SCHEMA,
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": variables},
        "panels": panels,
    }
