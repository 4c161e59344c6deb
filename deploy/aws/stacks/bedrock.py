"""Models and a guardrail of Amazon Bedrock: the service's models file for them, and the permissions of its role."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_BUILT_IN = Path(__file__).parents[3] / "infra" / "llm" / "catalogue" / "models.toml"
_PLACES = "us|us-gov|eu|apac|jp|au|ca|sa|me|af|il|mx|global"
_MODEL = re.compile(
    rf"(?P<place>(?:{_PLACES})\.(?=[a-z0-9]+\.))?(?P<model>[a-z0-9]+\.[A-Za-z0-9.:-]+)"
)
_GUARDRAIL = re.compile(r"(?P<id>[a-z0-9]+):(?P<version>[1-9][0-9]{0,7}|DRAFT)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """A guardrail of the same account and region, and its version."""

    id: str
    version: str

    @classmethod
    def parse(cls, text: str) -> "Guardrail | None":
        """Return the guardrail that `text` names as `id:version`; None where it names none."""
        found = _GUARDRAIL.fullmatch(text)
        return None if found is None else cls(id=found["id"], version=found["version"])

    def arn(self, *, partition: str, region: str, account: str) -> str:
        """Return its ARN."""
        return f"arn:{partition}:bedrock:{region}:{account}:guardrail/{self.id}"


def is_model(name: str) -> bool:
    """Return whether `name` is the id of a model, or of an inference profile."""
    return _MODEL.fullmatch(name) is not None


def models_toml(
    models: Sequence[str], region: str, *, has_others: bool, guardrail: Guardrail | None = None
) -> str:
    """Return the models file, in which each model falls back to those after it.

    Args:
        models: Their ids; the first is the default.
        region: Where they are called.
        has_others: The service's built-in models come before them, and its default stays.
        guardrail: Checks the requests and answers of each.
    """
    head = _BUILT_IN.read_text(encoding="utf-8") if has_others else f"default = {_text(models[0])}"
    tables = [head.rstrip(), f'[providers.bedrock]\nkind = "bedrock"\nregion = "{region}"']
    for number, model in enumerate(models):
        fallbacks = ", ".join(map(_text, models[number + 1 :]))
        table = f'[models.{_text(model)}]\nprovider = "bedrock"\nfallbacks = [{fallbacks}]'
        if guardrail is not None:
            table += f'\nguardrail = {{ id = "{guardrail.id}", version = "{guardrail.version}" }}'
        tables.append(table)
    return "\n\n".join(tables) + "\n"


def profile_arn(model: str, *, partition: str, region: str, account: str) -> str | None:
    """Return the ARN of an inference profile; None for the id of a model."""
    if _place(model) is None:
        return None
    return f"arn:{partition}:bedrock:{region}:{account}:inference-profile/{model}"


def model_arns(model: str, *, partition: str, region: str) -> list[str]:
    """Return the ARNs of the foundation model behind a model id or an inference profile.

    A profile calls the model in regions that AWS chooses, a global one also without naming any.
    """
    place = _place(model)
    name = model.removeprefix(f"{place}.") if place else model
    arns = [f"arn:{partition}:bedrock:{'*' if place else region}::foundation-model/{name}"]
    if place == "global":
        arns.append(f"arn:{partition}:bedrock:::foundation-model/{name}")
    return arns


def _place(model: str) -> str | None:
    found = _MODEL.fullmatch(model)
    return found["place"].rstrip(".") if found is not None and found["place"] else None


def _text(value: str) -> str:
    return json.dumps(value)  # for these characters the same in TOML
