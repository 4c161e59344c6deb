"""What is in a synthesised template."""

import json
from pathlib import Path
from typing import Any

Resource = dict[str, Any]


def read(directory: Path, stack: str) -> dict[str, Any]:
    text = (directory / f"{stack}.template.json").read_text(encoding="utf-8")
    template: dict[str, Any] = json.loads(text)
    return template


def of_type(template: dict[str, Any], kind: str) -> list[Resource]:
    """Return the properties of every resource of a type."""
    return [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == kind
    ]


def statements(template: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is allowed to roles, those of AWS's own services included."""
    return [
        statement
        for policy in of_type(template, "AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def actions(statement: dict[str, Any]) -> list[str]:
    allowed = statement["Action"]
    return allowed if isinstance(allowed, list) else [allowed]
