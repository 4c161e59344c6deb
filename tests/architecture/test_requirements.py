"""What is imported is required by name, and what is locked is what is required."""

import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.requirements_files import normalised, pinned
from tests.support.source_files import OURS, ROOT, imported_by

LLAMA_INDEX = Path("tests/e2e/llama_index")
"""What runs in an environment of its own."""
NAMES = ["requirements-uv", "requirements", "requirements-dev", str(LLAMA_INDEX / "requirements")]


def not_named(files: list[Path], required: set[str]) -> set[str]:
    """Return the names that files import from packages which are not among those required."""
    distributions = packages_distributions()
    imported = {name for file in files for name in imported_by(file)}
    return {
        name
        for name in imported - sys.stdlib_module_names - OURS
        if required.isdisjoint(map(normalised, distributions.get(name, [name])))
    }


def test_the_service_names_every_package_it_imports() -> None:
    files = [
        *ROOT.glob("*.py"),
        *(
            file
            for layer in ("app", "commands", "domain", "infra")
            for file in (ROOT / layer).rglob("*.py")
        ),
    ]
    assert not_named(files, set(pinned("requirements.txt"))) == set()


def test_the_tests_name_every_package_they_import() -> None:
    required = {*pinned("requirements.txt"), *pinned("requirements-dev.txt")}
    elsewhere = {"node_modules", LLAMA_INDEX.name}
    files = [file for file in (ROOT / "tests").rglob("*.py") if elsewhere.isdisjoint(file.parts)]
    assert not_named(files, required) == set()


@pytest.mark.parametrize("name", NAMES)
def test_the_lock_holds_what_is_required(name: str) -> None:
    assert pinned(f"{name}.txt").items() <= pinned(f"{name}.lock").items()


def test_the_tests_run_with_the_versions_that_are_delivered() -> None:
    assert pinned("requirements.lock").items() <= pinned("requirements-dev.lock").items()


@pytest.mark.parametrize("name", NAMES)
def test_every_locked_package_is_hashed_and_no_index_is_named(name: str) -> None:
    text = (ROOT / f"{name}.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[A-Za-z0-9])", text)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
