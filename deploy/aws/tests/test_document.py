"""The steps of docs/aws.md: their parameters need no key, and their commands name what the templates create."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DOCUMENT, VARIANTS, Synthesis
from tests.templates import of_type, read

ROOT = Path(__file__).parents[3]
LONGEST_COMMAND_BYTES = 51_200
"""The longest template that `aws cloudformation deploy` sends without a bucket."""


def named(pattern: str) -> set[str]:
    found = set(re.findall(pattern, DOCUMENT))
    assert found, pattern
    return found


def containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    tasks = of_type(template, "AWS::ECS::TaskDefinition")
    return [container for task in tasks for container in task["ContainerDefinitions"]]


def test_the_steps_need_no_key(synthesised: Synthesis) -> None:
    application = read(synthesised("documented"), "rt-app")
    secrets = [one["Name"] for each in containers(application) for one in each.get("Secrets", ())]
    assert secrets == ["CURSOR_SECRET"]
    for stack in ("rt-data", "rt-app"):
        assert "_API_KEY" not in str(read(synthesised("documented"), stack))
    (model,) = named(r"--model-id (\S+)")
    assert VARIANTS["documented"]["bedrockModels"] == model
    (audience,) = named(r"--audience (\S+)")
    assert VARIANTS["documented"]["jwtAudience"] == audience


def test_the_commands_name_what_the_templates_create(synthesised: Synthesis) -> None:
    directory = synthesised("small")
    data, application = read(directory, "rt-data"), read(directory, "rt-app")
    clusters = {each["ClusterName"] for each in of_type(application, "AWS::ECS::Cluster")}
    assert named(r"--cluster (\S+)") == clusters
    services = {each["ServiceName"] for each in of_type(application, "AWS::ECS::Service")}
    assert named(r"--services? (\S+)") == services
    families = {each["Family"] for each in of_type(application, "AWS::ECS::TaskDefinition")}
    assert named(r"--task-definition (\S+)") <= families
    names = {each["Name"] for each in containers(application)}
    assert named(r'"containerOverrides": \[\{"name": "(\w+)"') <= names
    secrets = {each["Name"] for each in of_type(data, "AWS::SecretsManager::Secret")}
    assert named(r"--secret-id (\S+)") <= secrets
    repositories = {each["RepositoryName"] for each in of_type(data, "AWS::ECR::Repository")}
    images = named(r"\$REGISTRY/([\w-]+):1")
    assert images == repositories
    tables = {each["TableName"] for each in of_type(data, "AWS::DynamoDB::Table")}
    assert named(r"--source-table-name (\S+)") == tables
    (start,) = named(r"starts_with\(OutputKey, '(\w+)'\)")
    assert len([name for name in application["Outputs"] if name.startswith(start)]) == 1


def test_only_the_application_needs_a_bucket_for_its_template(synthesised: Synthesis) -> None:
    for variant in ("documented", "small", "large"):
        directory = synthesised(variant)
        assert (directory / "rt-data.template.json").stat().st_size < LONGEST_COMMAND_BYTES
        assert (directory / "rt-app.template.json").stat().st_size > LONGEST_COMMAND_BYTES


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_test_overwrites_what_is_about_to_be_deployed(
    synthesised: Synthesis, variant: str
) -> None:
    files = [ROOT / path for path in named(r"--template-file (\S+)")]
    assert synthesised(variant) not in {file.parent for file in files}
