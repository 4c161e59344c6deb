"""What docs/security.md promises has a test, and the tests it names are there."""

import ast
import re

import pytest

from infra.settings import Settings
from tests.docs.markdown import ROOT, blocks

TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
RISKS = [
    *(f"API{number}" for number in range(1, 11)),
    *(f"LLM{number:02}" for number in range(1, 11)),
]


@pytest.mark.parametrize("risk", RISKS)
def test_every_risk_has_a_control_and_names_a_test(risk: str) -> None:
    (section,) = re.findall(rf"^### {risk} .*\n\n((?:[^#\n].*\n|\n)+)", TEXT, flags=re.MULTILINE)
    control, tests = section.split("\n\n", maxsplit=1)
    assert len(control.split()) > 5
    assert re.search(r"^- `tests/[\w/]+\.py::test_", tests, flags=re.MULTILINE)


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_that_is_named_exists(file: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    there = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name for named_file, name in NAMED if named_file == file} <= there


def test_nothing_looks_like_a_test_and_is_none() -> None:
    assert len(NAMED) == TEXT.count("::test_") > 60


def test_every_setting_that_is_named_exists() -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b", TEXT)) - {"DATA_DIR/keys"}
    assert len(named) > 15
    assert named <= {name.upper() for name in Settings.model_fields}


def test_links_lead_to_files_that_exist() -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", TEXT):
        assert (ROOT / "docs" / target).exists(), target


def test_commands_say_why_they_are_not_run() -> None:
    assert all(block.marker.startswith("not run: ") for block in blocks("docs/security.md"))
