"""Arrows point inwards, seen from the source itself."""

import sys

import pytest

from tests.support.source_files import MAY_IMPORT, OURS, ROOT, imported_by


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_a_layer_knows_only_what_is_further_in(layer: str) -> None:
    files = list((ROOT / layer).rglob("*.py"))
    assert files
    allowed = {layer} | MAY_IMPORT[layer]
    for file in files:
        assert not (set(imported_by(file)) & OURS) - allowed, file


def test_domain_needs_nothing_but_python() -> None:
    for file in (ROOT / "domain").rglob("*.py"):
        strangers = set(imported_by(file)) - {"domain"} - set(sys.stdlib_module_names)
        assert not strangers, f"{file} imports {strangers}"


def test_only_the_wiring_and_the_entry_join_the_layers() -> None:
    joining = {
        file.name
        for file in ROOT.glob("*.py")
        if {"app", "infra"} <= set(imported_by(file)) or "dependency_injection" in imported_by(file)
    }
    assert joining <= {"dependency_injection.py", "main.py"}


def test_commands_need_nothing_of_the_service() -> None:
    for file in (ROOT / "commands").glob("*.py"):
        assert not {"dependency_injection", "main", "commands"} & set(imported_by(file)), file


def test_production_code_does_not_import_the_selftest() -> None:
    for file in (ROOT / "infra").rglob("*.py"):
        if "selftest" not in file.parts:
            assert "infra.selftest" not in file.read_text(encoding="utf-8"), file
