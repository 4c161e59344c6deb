"""What the documents tell an operator to type and to set is what there is."""

import json
import re

from infra.settings import Settings
from tests.deploy.expressions import DEPLOY

TEXT = (DEPLOY.parent / "docs" / "aws.md").read_text(encoding="utf-8")
PARAMETERS = (DEPLOY / "aws" / "stacks" / "parameters.py").read_text(encoding="utf-8")


def test_the_table_names_every_parameter_with_its_default() -> None:
    table = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (\S*) ?\|", TEXT, re.MULTILINE)
    shown = {
        name: default.strip("`")
        for names, default in table
        for name in re.findall(r"`(\w+)`", names)
    }
    read = set(re.findall(r'_text\(node, "(\w+)"\)', PARAMETERS))
    defaults = json.loads((DEPLOY / "aws" / "cdk.json").read_text(encoding="utf-8"))["context"]
    assert shown == {name: defaults.get(name, "") for name in read}


def test_every_target_of_make_that_is_named_exists() -> None:
    makefile = (DEPLOY.parent / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"make (deploy-\w+)", TEXT))
    assert named >= {"deploy-synth", "deploy-test"}
    assert all(f"\n{target}: " in makefile for target in named)


def test_what_is_put_into_the_secret_of_the_providers_is_what_tasks_take_from_it() -> None:
    (secret,) = re.findall(r"--secret-string '(\{.*\})'", TEXT)
    kept = re.findall(r"PROVIDER_KEYS = frozenset\(\{(.*?)\}\)", PARAMETERS)
    assert set(json.loads(secret)) == set(re.findall(r'"(\w+)"', kept[0]))


def test_every_setting_of_the_service_that_observability_names_exists() -> None:
    text = (DEPLOY.parent / "docs" / "observability.md").read_text(encoding="utf-8")
    known = {name.upper() for name in Settings.model_fields}
    named = set(re.findall(r"`((?:METRICS|LOG|HISTORY|MAX)_[A-Z_]+)", text))
    assert named - {"HISTORY_MODE"} <= known
    of_the_library = {"TIMEOUT", "COMPRESSION", "CERTIFICATE"}
    traces = set(re.findall(r"`(OTEL_[A-Z_]+[A-Z])`", text)) - {"OTEL_SDK_DISABLED"}
    assert traces - known == {
        "OTEL_RESOURCE_ATTRIBUTES",
        *(f"OTEL_EXPORTER_OTLP_{name}" for name in of_the_library),
    }


def test_links_of_the_operators_documents_lead_somewhere() -> None:
    for name in ("observability.md", "operations.md", "aws.md", "scaling.md"):
        file = DEPLOY.parent / "docs" / name
        text = file.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (file.parent / target).exists(), (name, target)
