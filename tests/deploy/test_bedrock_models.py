"""The models file that `deploy/aws` gives to its tasks is one that the service reads."""

from types import ModuleType

import pytest

from infra.llm.catalogue.loader import load_catalogue
from infra.llm.providers.bedrock.identity import Guardrail
from infra.settings import Settings
from tests.fakes.clock import FakeClock

CLAUDE, NOVA = "eu.anthropic.claude-sonnet-4-6", "amazon.nova-lite-v1:0"


@pytest.fixture(autouse=True)
def _no_variables_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_models_of_bedrock_alone_need_no_key(bedrock: ModuleType) -> None:
    text = bedrock.models_toml([CLAUDE, NOVA], "eu-west-1", has_others=False)
    catalogue = load_catalogue(Settings(_env_file=None, models_toml=text), {}, FakeClock())
    assert [(entry.id, entry.upstream) for entry in catalogue.entries] == [
        (CLAUDE, CLAUDE),
        (NOVA, NOVA),
    ]
    assert [entry.fallbacks for entry in catalogue.entries] == [(NOVA,), ()]
    assert {entry.provider.api_key for entry in catalogue.entries} == {None}
    assert catalogue.resolve(None).id == CLAUDE
    assert not catalogue.is_demo_only()


def test_a_guardrail_is_that_of_each_of_them(bedrock: ModuleType) -> None:
    guardrail = bedrock.Guardrail.parse("gr7abc:DRAFT")
    text = bedrock.models_toml([CLAUDE, NOVA], "eu-west-1", has_others=False, guardrail=guardrail)
    catalogue = load_catalogue(Settings(_env_file=None, models_toml=text), {}, FakeClock())
    assert [entry.guardrail for entry in catalogue.entries] == [
        Guardrail(id="gr7abc", version="DRAFT")
    ] * 2


def test_beside_keys_the_built_in_default_stays(bedrock: ModuleType) -> None:
    text = bedrock.models_toml([NOVA], "eu-west-1", has_others=True)
    settings = Settings(_env_file=None, models_toml=text, gemini_api_key="key")
    catalogue = load_catalogue(settings, {}, FakeClock())
    assert catalogue.resolve(None).id == "gemini-3.8-flash"
    assert NOVA in {entry.id for entry in catalogue.entries}
