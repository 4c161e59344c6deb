"""Synthesises what the tests look at, once a run: it takes seconds."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import aws_cdk as cdk
import cdk_nag
import pytest

from synth import make_app

DOCUMENT = (Path(__file__).parents[3] / "docs" / "aws.md").read_text(encoding="utf-8")


def _documented() -> dict[str, str]:
    """Return the parameters in the steps of the document."""
    (text,) = re.findall(r'^PARAMETERS="(.*?)"$', DOCUMENT, re.MULTILINE | re.DOTALL)
    text = text.replace("\\\n", " ").replace("$ISSUER", "https://id.example.com")
    return dict(argument.split("=", 1) for argument in text.split())


VARIANTS = {
    "small": {},
    "large": {
        "size": "large",
        "authentication": "api_keys,jwt",
        "jwtIssuer": "https://id.example.com",
        "jwtAudience": "chat",
        "jwksUrl": "https://id.example.com/keys",
        "domainName": "chat.example.com",
        "certificateArn": "arn:aws:acm:eu-west-1:111122223333:certificate/1",
        "hostedZoneId": "Z1",
        "alarmEmail": "on-call@example.com",
        "providers": "GEMINI_API_KEY,OPENROUTER_API_KEY",
    },
    "bedrock": {
        "providers": "bedrock",
        "bedrockModels": "eu.anthropic.claude-sonnet-4-6,global.amazon.nova-2-lite-v1:0,mistral.large-v1:0",
        "authentication": "jwt",
        "jwtIssuer": "https://id.example.com",
        "jwtAudience": "chat",
        "jwksUrl": "https://id.example.com/keys",
    },
    "mixed": {
        "size": "large",
        "providers": "GEMINI_API_KEY,bedrock",
        "bedrockModels": "amazon.nova-lite-v1:0",
        "bedrockGuardrail": "gr7abc:3",
    },
    "thrown away": {"protected": "false"},
    "documented": _documented(),
}

OUTPUT = Path(__file__).parents[1] / "cdk.out" / "tests"
"""A folder of its own, so that tests do not overwrite the templates that `make deploy-synth` wrote for a deployment."""

Synthesis = Callable[[str], Path]


@pytest.fixture(scope="session")
def synthesised(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    """Return where the templates of a variant are; cdk-nag has looked at them, and an objection of its ends the test."""

    @cache
    def directory(variant: str) -> Path:
        # that of cdk.json is kept: the service's own tests deploy it to an emulator
        output = (
            OUTPUT if variant == "small" else tmp_path_factory.mktemp(variant.replace(" ", "-"))
        )
        app = make_app(VARIANTS[variant], output=output)
        cdk.Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks())
        app.synth()
        return output

    return directory
