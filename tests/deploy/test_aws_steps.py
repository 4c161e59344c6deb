"""The commands of docs/aws.md: AWS knows them, and the steps lead to a first answer, without any key."""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore import xform_name
from botocore.loaders import Loader

from domain.entities.caller import to_user_id
from tests.docs.markdown import ROOT, blocks_of
from tests.fakes.aws_credentials import FakeCredentials
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.issuer import Issuer, issuing, token
from tests.support.service import running_service

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")

TEXT = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
RUNBOOK = (ROOT / "deploy" / "runbook.md").read_text(encoding="utf-8")
STEPS = TEXT.partition("\n## With keys\n")[0]
ISSUER = "https://0a1b2c3d.tokens.sts.global.api.aws"
ROLE = "arn:aws:iam::123456789012:role/operators/first"
STAND_IN = """\
import json, os, pathlib, sys
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps([name, *arguments]) + "\\n")
if "--password-stdin" in arguments:
    sys.stdin.read()
print(json.loads(os.environ["ANSWERS"]).get(" ".join(arguments[:2]), ""))
"""
ANSWERS = {
    "iam get-outbound-web-identity-federation-info": ISSUER,
    "sts get-caller-identity": "123456789012",
    "ecs describe-services": '{"awsvpcConfiguration": {}}',
    "s3 ls": "rt-app-accesslogs",
}
OF_THE_CLI_ALONE = {
    ("cloudformation", "deploy"): {"stack-name", "template-file", "s3-bucket", "capabilities"},
    ("ecr", "get-login-password"): set(),
    **{("s3", name): {"force", "recursive"} for name in ("mb", "rb", "rm", "ls")},
}
GLOBAL = {"query", "output"}

Call = list[str]


class Shell:
    """Runs blocks of the document, with stand-ins for the programs that reach AWS."""

    def __init__(self, folder: Path, *stand_ins: str) -> None:
        self._folder = folder
        self._bin = folder / "bin"
        self._bin.mkdir()
        for name in stand_ins:
            program = self._bin / name
            program.write_text(f"#!{sys.executable}\n{STAND_IN}", encoding="utf-8")
            program.chmod(0o755)

    def run(self, text: str, **answers: str) -> tuple[str, list[Call]]:
        """Run all blocks of a text in one shell; return what they printed, and the calls of the stand-ins."""
        script = "".join(block.text for block in blocks_of(text) if block.language == "sh")
        calls = self._folder / "calls"
        calls.write_text("", encoding="utf-8")
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self._folder,
            env={
                "PATH": f"{self._bin}:{os.environ['PATH']}",
                "HOME": str(self._folder),
                "CALLS": str(calls),
                "ANSWERS": json.dumps(ANSWERS | answers),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        lines = calls.read_text(encoding="utf-8").splitlines()
        return ran.stdout, [json.loads(line) for line in lines]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, "aws", "docker", "make", "curl")


def in_sentences(text: str) -> Iterator[Call]:
    """Yield the commands that a text names in a sentence."""
    for command in re.findall(
        r"`(aws [^`<…]+)", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    ):
        yield shlex.split(command)


def check_of_aws(call: Call) -> None:
    """Check a call of AWS's command line against the driver's description of the service."""
    _, service, operation, *arguments = call
    options = {each.removeprefix("--") for each in arguments if each.startswith("--")} - GLOBAL
    if (service, operation) in OF_THE_CLI_ALONE:
        assert options <= OF_THE_CLI_ALONE[service, operation], call
        return
    loader = Loader()
    if operation == "wait":
        waiters = loader.load_service_model(service, "waiters-2")["waiters"]
        by_name = {xform_name(name, "-"): waiter["operation"] for name, waiter in waiters.items()}
        operation = xform_name(by_name[arguments[0]], "-")
    model = loader.load_service_model(service, "service-2")
    operations = {xform_name(name, "-"): each for name, each in model["operations"].items()}
    assert operation in operations, call
    shape = model["shapes"].get(operations[operation].get("input", {}).get("shape"), {})
    known = {xform_name(name, "-") for name in shape.get("members", {})}
    assert options <= known, call
    assert {xform_name(name, "-") for name in shape.get("required", ())} <= options, call


@pytest.mark.slow
def test_aws_knows_every_command(shell: Shell) -> None:
    _, calls = shell.run(TEXT)
    of_aws = [call for call in calls if call[0] == "aws"]
    assert {("sts", "get-web-identity-token"), ("ecs", "run-task"), ("s3", "rb")} <= {
        (call[1], call[2]) for call in of_aws
    }
    for call in [*of_aws, *in_sentences(TEXT), *in_sentences(RUNBOOK)]:
        check_of_aws(call)


def options_of(calls: list[Call], *start: str) -> dict[str, str]:
    """Return the options of the only call that begins so."""
    (call,) = [each for each in calls if tuple(each[: len(start)]) == start]
    options = call[len(start) :]
    return dict(zip(options[::2], options[1::2], strict=True))


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing(Issuer()) as issuer:
        yield issuer


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_steps_lead_to_a_first_answer_without_any_key(
    tmp_path: Path, issuer: Issuer, bedrock: ModuleType
) -> None:
    (tmp_path / "stand-ins").mkdir()
    (tmp_path / "steps").mkdir()
    _, calls = Shell(tmp_path / "stand-ins", "aws", "docker", "make", "curl").run(STEPS)
    parameters = parameters_of(calls)
    asked = options_of(calls, "aws", "sts", "get-web-identity-token")
    issued = token(
        asked["--signing-algorithm"], iss=ISSUER, aud=asked["--audience"], sub=ROLE
    ).decode()
    assert parameters["jwksUrl"] == f"{ISSUER}/.well-known/jwks.json"
    region = re.findall(r"^export AWS_REGION=(\S+)$", STEPS, re.MULTILINE)[0]
    async with (
        FakeCredentials(region=region) as source,
        FakeBedrock(keys=source.keys, api_key=None, region=region) as provider,
    ):
        models = bedrock.models_toml(
            parameters["bedrockModels"].split(","), region, has_others=False
        ).replace(
            f'region = "{region}"',
            f'region = "{region}"\nbase_url = "{provider.base_url}"\nallow_http = true',
        )
        settings = source.environment | {
            "MODELS_TOML": models,
            "AUTHENTICATION": parameters["authentication"],
            "JWT_ISSUER": parameters["jwtIssuer"],
            "JWT_AUDIENCE": parameters["jwtAudience"],
            "JWKS_URL": issuer.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(tmp_path / "no config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no credentials"),
        }
        service = running_service(tmp_path / "data", settings)
        started = await asyncio.to_thread(service.__enter__)
        try:
            answers = {
                "cloudformation describe-stacks": f"{started.url}/",
                "sts get-web-identity-token": issued,
            }
            steps = Shell(tmp_path / "steps", "aws", "docker", "make")
            printed, _ = await asyncio.to_thread(lambda: steps.run(STEPS, **answers))
        finally:
            await asyncio.to_thread(service.__exit__, None, None, None)
        assert provider.signers == source.given
        assert provider.model_of(provider.seen[0]) == parameters["bedrockModels"]
    events, _, history = printed.strip().rpartition("\n")
    assert "event: done" in events
    (interaction,) = json.loads(history)["history"]
    assert (interaction["response"], interaction["provider"]) == ("Hello world", "bedrock")
    assert interaction["userId"] == to_user_id(ROLE)


def parameters_of(calls: list[Call]) -> dict[str, str]:
    """Return the parameters that `make deploy-synth` was given."""
    (arguments,) = [call[2] for call in calls if call[:2] == ["make", "deploy-synth"]]
    parameters: Any = dict(each.split("=", 1) for each in arguments.removeprefix("ARGS=").split())
    return parameters
