"""The index template knows every field of the lines the service writes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.expressions import DEPLOY
from tests.support.service import running_service

ELK = DEPLOY / "elk"


def mapped(properties: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, what in properties.items():
        inner = what.get("properties")
        yield from mapped(inner, f"{before}{name}.") if inner else [f"{before}{name}"]


def leaves(fields: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, what in fields.items():
        inner = [
            one for one in (what if isinstance(what, list) else [what]) if isinstance(one, dict)
        ]
        yield from [leaf for one in inner for leaf in leaves(one, f"{before}{name}.")] or [
            f"{before}{name}"
        ]


def test_every_field_of_a_running_service_is_mapped(tmp_path: Path) -> None:
    template = json.loads((ELK / "index-template.json").read_text(encoding="utf-8"))
    known = set(mapped(template["template"]["mappings"]["properties"]))
    with running_service(tmp_path / "data") as service:
        with service.client() as client:
            body = {"userId": "ana", "userPrompt": "Are you there?"}
            assert client.post("/v1/chat", json=body).status_code == 200
            assert client.get("/nowhere").status_code == 404
        service.lines_with("chat completed")
        service.stop()
        written = {leaf for line in service.lines() for leaf in leaves(line)}
    assert "rt.llm_response_seconds" in written
    assert written - known == set()


def test_lines_go_where_the_template_holds() -> None:
    shipper = yaml.safe_load((ELK / "filebeat.yml").read_text(encoding="utf-8"))
    template = json.loads((ELK / "index-template.json").read_text(encoding="utf-8"))
    (pattern,) = template["index_patterns"]
    assert shipper["output.elasticsearch"]["index"].startswith(pattern.rstrip("*"))
