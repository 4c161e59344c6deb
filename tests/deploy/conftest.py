"""The tools that read what an operator's own would read, the synthesised templates, and an emulator to deploy them to."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

from tests.aws_emulator import AwsEmulator
from tests.deploy.expressions import DEPLOY

SOURCES = DEPLOY / "aws"
PYTHON = DEPLOY.parent / ".venv-deploy" / "bin" / "python"
STACK_SECONDS = 60.0

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
    folder = SOURCES / "cdk.out"
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
def emulator() -> Iterator[AwsEmulator]:
    emulator = AwsEmulator()
    yield emulator
    emulator.end()


@pytest.fixture(scope="session")
def emulated(emulator: AwsEmulator) -> "Aws":
    return Aws(emulator)


@pytest.fixture(scope="session")
def aws(emulated: "Aws", templates: dict[str, Template]) -> "Aws":
    emulated.deploy("rt-data", templates["rt-data"])
    return emulated


class Aws:
    """The emulator, as an operator's tools see it."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._emulator = emulator

    def client(self, service: str) -> Any:
        return Session().create_client(
            service,
            region_name="us-east-1",
            endpoint_url=self._emulator.url,
            aws_access_key_id="emulator",
            aws_secret_access_key="emulator",
        )

    def deploy(self, name: str, template: Template) -> None:
        clouds = self.client("cloudformation")
        clouds.create_stack(StackName=name, TemplateBody=json.dumps(template))
        deadline = time.monotonic() + STACK_SECONDS
        while True:
            (stack,) = clouds.describe_stacks(StackName=name)["Stacks"]
            if stack["StackStatus"] == "CREATE_COMPLETE":
                return
            assert stack["StackStatus"] == "CREATE_IN_PROGRESS", stack
            assert time.monotonic() < deadline
            time.sleep(0.1)
