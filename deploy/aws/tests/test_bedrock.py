"""Models of Bedrock: called with the role of the API's tasks, which may call these and no others, without any secret."""

import re
import tomllib
from typing import Any

import pytest

from stacks.bedrock import is_model, models_toml
from tests.conftest import Synthesis
from tests.templates import actions, of_type, read

CLAUDE, NOVA = "eu.anthropic.claude-sonnet-4-6", "global.amazon.nova-2-lite-v1:0"
MISTRAL = "mistral.large-v1:0"
CALLS = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]


def joined(value: Any) -> str:
    """Return a text of a template, with the names of its references."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return f"<{value['Ref']}>"
    if "Fn::Join" in value:
        return "".join(map(joined, value["Fn::Join"][1]))
    return str(value)


def role_statements(synthesised: Synthesis, variant: str, task: str) -> list[dict[str, Any]]:
    return [
        statement
        for policy in of_type(read(synthesised(variant), "rt-app"), "AWS::IAM::Policy")
        if f"{task}TaskTaskRole" in str(policy["Roles"])
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def test_the_role_may_call_exactly_the_listed_models(synthesised: Synthesis) -> None:
    allowed: dict[str, Any] = {}
    for statement in role_statements(synthesised, "bedrock", "Api"):
        if any(action.startswith("bedrock") for action in actions(statement)):
            assert sorted(actions(statement)) == CALLS
            resources = statement["Resource"]
            for resource in resources if isinstance(resources, list) else [resources]:
                condition = statement.get("Condition")
                through = condition and joined(
                    condition["StringEquals"]["bedrock:InferenceProfileArn"]
                )
                allowed[joined(resource)] = through
    profiles = "arn:<AWS::Partition>:bedrock:<AWS::Region>:<AWS::AccountId>:inference-profile"
    models = "foundation-model"
    assert allowed == {
        f"{profiles}/{CLAUDE}": None,
        f"arn:<AWS::Partition>:bedrock:*::{models}/anthropic.claude-sonnet-4-6": f"{profiles}/{CLAUDE}",
        f"{profiles}/{NOVA}": None,
        f"arn:<AWS::Partition>:bedrock:*::{models}/amazon.nova-2-lite-v1:0": f"{profiles}/{NOVA}",
        f"arn:<AWS::Partition>:bedrock:::{models}/amazon.nova-2-lite-v1:0": f"{profiles}/{NOVA}",
        f"arn:<AWS::Partition>:bedrock:<AWS::Region>::{models}/{MISTRAL}": None,
    }


def test_the_role_may_do_nothing_else_that_it_might_not_without_bedrock(
    synthesised: Synthesis,
) -> None:
    def others(variant: str) -> set[str]:
        found = role_statements(synthesised, variant, "Api")
        return {action for statement in found for action in actions(statement)} - set(CALLS)

    assert others("bedrock") == others("small")
    services = {action.partition(":")[0] for action in others("bedrock")}
    assert services == {"dynamodb", "s3", "sqs"}


def test_the_role_may_apply_exactly_the_stated_guardrail(synthesised: Synthesis) -> None:
    (statement,) = [
        statement
        for statement in role_statements(synthesised, "mixed", "Api")
        if "bedrock:ApplyGuardrail" in actions(statement)
    ]
    assert actions(statement) == ["bedrock:ApplyGuardrail"]
    guardrail = "guardrail/gr7abc"
    assert joined(statement["Resource"]) == (
        f"arn:<AWS::Partition>:bedrock:<AWS::Region>:<AWS::AccountId>:{guardrail}"
    )
    models = models_of(synthesised, "mixed")["models"]
    ours = {name: model.get("guardrail") for name, model in models.items()}
    assert ours.pop("amazon.nova-lite-v1:0") == {"id": "gr7abc", "version": "3"}
    assert set(ours.values()) == {None}
    assert "ApplyGuardrail" not in str(role_statements(synthesised, "bedrock", "Api"))
    assert "ApplyGuardrail" not in str(role_statements(synthesised, "mixed", "Worker"))


@pytest.mark.parametrize("variant", ["bedrock", "mixed"])
def test_the_worker_calls_no_model(synthesised: Synthesis, variant: str) -> None:
    assert "bedrock" not in str(role_statements(synthesised, variant, "Worker"))


def test_without_keys_there_is_no_secret_of_a_provider(synthesised: Synthesis) -> None:
    directory = synthesised("bedrock")
    secrets = of_type(read(directory, "rt-data"), "AWS::SecretsManager::Secret")
    assert {secret["Name"] for secret in secrets} == {"rt/api-keys", "rt/cursor-secret"}
    tasks = of_type(read(directory, "rt-app"), "AWS::ECS::TaskDefinition")
    named = [
        secret["Name"]
        for task in tasks
        for container in task["ContainerDefinitions"]
        for secret in container.get("Secrets", ())
    ]
    assert named == ["CURSOR_SECRET"]
    for stack in ("rt-data", "rt-app"):
        assert "_API_KEY" not in str(read(directory, stack))


@pytest.mark.parametrize(
    ("variant", "number"), [("small", 0), ("bedrock", 1), ("mixed", 6), ("large", 5)]
)
def test_calls_of_models_stay_inside_the_vpc(
    synthesised: Synthesis, variant: str, number: int
) -> None:
    template = read(synthesised(variant), "rt-app")
    endpoints = [
        endpoint
        for endpoint in of_type(template, "AWS::EC2::VPCEndpoint")
        if endpoint["VpcEndpointType"] == "Interface"
    ]
    assert len(endpoints) == number
    ours = [one for one in endpoints if "bedrock-runtime" in joined(one["ServiceName"])]
    assert len(ours) == (variant in ("bedrock", "mixed"))
    for endpoint in ours:
        assert endpoint["PrivateDnsEnabled"] is True
        assert len(endpoint["SubnetIds"]) == 3


def models_of(synthesised: Synthesis, variant: str) -> dict[str, Any]:
    tasks = of_type(read(synthesised(variant), "rt-app"), "AWS::ECS::TaskDefinition")
    containers = [one for task in tasks for one in task["ContainerDefinitions"]]
    texts = {
        container["Name"]: joined(one["Value"])
        for container in containers
        for one in container["Environment"]
        if one["Name"] == "MODELS_TOML"
    }
    assert texts.keys() == {"api"}
    return tomllib.loads(texts["api"])


def test_the_api_gets_a_models_file_with_these_models_alone(synthesised: Synthesis) -> None:
    file = models_of(synthesised, "bedrock")
    assert file == {
        "default": CLAUDE,
        "providers": {"bedrock": {"kind": "bedrock", "region": "<AWS::Region>"}},
        "models": {
            CLAUDE: {"provider": "bedrock", "fallbacks": [NOVA, MISTRAL]},
            NOVA: {"provider": "bedrock", "fallbacks": [MISTRAL]},
            MISTRAL: {"provider": "bedrock", "fallbacks": []},
        },
    }


def test_beside_keys_the_built_in_models_stay(synthesised: Synthesis) -> None:
    file = models_of(synthesised, "mixed")
    assert file["providers"].keys() == {"gemini", "openrouter", "bedrock"}
    assert file["models"]["amazon.nova-lite-v1:0"]["provider"] == "bedrock"
    assert file["default"] in file["models"]
    data = read(synthesised("mixed"), "rt-data")
    names = {secret["Name"] for secret in of_type(data, "AWS::SecretsManager::Secret")}
    assert "rt/providers" in names


@pytest.mark.parametrize("variant", ["small", "large"])
def test_without_bedrock_nothing_is_changed(synthesised: Synthesis, variant: str) -> None:
    for stack in ("rt-data", "rt-app"):
        assert re.search("bedrock|MODELS_TOML", str(read(synthesised(variant), stack))) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (CLAUDE, True),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", True),
        ("us-gov.anthropic.claude-3-haiku-20240307-v1:0", True),
        ("claude", False),
        ("", False),
        ("a.b*", False),
        ("a.b\n", False),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.a.b", False),
    ],
)
def test_ids_are_those_of_models_and_profiles(name: str, expected: bool) -> None:
    assert is_model(name) is expected


def test_the_models_file_is_toml_for_any_region() -> None:
    assert tomllib.loads(models_toml([MISTRAL], "eu-west-1", has_others=False))["providers"] == {
        "bedrock": {"kind": "bedrock", "region": "eu-west-1"}
    }
