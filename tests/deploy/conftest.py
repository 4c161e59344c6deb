"""The tools that read what an operator's own would read, the synthesised templates, and an emulator to deploy them to."""

import json
import os
import shutil
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.deploy.expressions import DEPLOY
from tests.support.aws_emulator import AwsEmulator, shared_emulator
from tests.support.data_stack import deploy

SOURCES = DEPLOY / "aws"
PYTHON = DEPLOY.parent / ".venv-deploy" / "bin" / "python"

Template = dict[str, Any]


@pytest.fixture(scope="session")
def promtool() -> str:
    return _tool("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    return _tool("prometheus")


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not here; on Debian: apt-get install prometheus")
    return path


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Template]:
    folder = SOURCES / "cdk.out" / "tests"
    if not is_fresh(folder):
        if not PYTHON.exists() or shutil.which("node") is None:
            pytest.skip("the templates cannot be synthesised here: `make deploy-test` does it")
        folder = tmp_path_factory.mktemp("templates")
        synthesise(folder)
    return {
        stack: json.loads((folder / f"{stack}.template.json").read_text(encoding="utf-8"))
        for stack in ("rt-data", "rt-app")
    }


def is_fresh(folder: Path) -> bool:
    """Return whether the templates there are of the sources as they are."""
    written = [folder / "rt-data.template.json", folder / "rt-app.template.json"]
    if not all(file.exists() for file in written):
        return False
    sources = [SOURCES / "synth.py", SOURCES / "cdk.json", *(SOURCES / "stacks").glob("*.py")]
    return min(file.stat().st_mtime for file in written) > max(
        file.stat().st_mtime for file in sources
    )


def synthesise(folder: Path) -> None:
    program = f"from pathlib import Path; from synth import make_app; make_app(output=Path({str(folder)!r})).synth()"
    subprocess.run(
        [PYTHON, "-c", program],
        cwd=SOURCES,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        stderr=subprocess.DEVNULL,
        timeout=180,
        check=True,
    )


@pytest.fixture(scope="session")
def bedrock() -> ModuleType:
    """The module of the stacks that writes the models file; it needs no CDK."""
    spec = spec_from_file_location("stacks_bedrock", SOURCES / "stacks" / "bedrock.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def emulator() -> AwsEmulator:
    return shared_emulator()


@pytest.fixture(scope="session")
def aws(templates: dict[str, Template]) -> AwsEmulator:
    """An account whose data stack is the one just synthesised, under its own names."""
    emulator = shared_emulator()
    deploy(emulator, "rt-data", templates["rt-data"])
    return emulator
