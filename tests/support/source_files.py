"""The packages of this repository, and what their files import."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


MAY_IMPORT: dict[str, set[str]] = {"domain": set(), "app": {"domain"}, "infra": {"domain"}}


OURS = {*MAY_IMPORT, "bench", "commands", "dependency_injection", "deploy", "docs", "main", "tests"}


def imported_by(file: Path) -> Iterator[str]:
    """Yield the top-level names of what a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively, which hides the layer"
            assert node.module is not None
            yield node.module.split(".")[0]
