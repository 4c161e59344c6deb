"""A kind of provider is a row of the registry; nothing else needs to know it."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr
from yarl import URL

from domain.entities.reply import Usage
from domain.interfaces.llm_client import LLMClient
from infra.clock import SystemClock
from infra.configuration import ConfigurationError
from infra.llm.catalogue.loader import load_catalogue
from infra.llm.chain import open_llm
from infra.llm.providers.bedrock.identity import AwsIdentity
from infra.llm.providers.registry import PROVIDER_KINDS, ClientOptions, ProviderKind
from infra.llm.providers.scripted import ScriptedLLM
from infra.llm.transport.authorization import Authorization
from infra.llm.transport.errors.body import WireError
from infra.settings import Settings
from tests.fakes.chat_contexts import a_chat_context
from tests.unit.infra.llm.resilience.parts import RecordingObserver, read_answer

MODELS = """
default = "m"

[providers.p]
kind = "made-up"
base_url = "https://made-up.example/v9"
api_key_env = "GEMINI_API_KEY"

[models.m]
provider = "p"
upstream = "m-9"
input_usd_per_million = 1
output_usd_per_million = 2
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    models = tmp_path / "models.toml"
    models.write_text(MODELS, encoding="utf-8")
    return Settings(_env_file=None, models_file=models, gemini_api_key=SecretStr("a-key"))


async def test_a_new_kind_answers_chats_once_it_is_in_the_registry(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[ClientOptions] = []

    def open_client(options: ClientOptions) -> LLMClient:
        opened.append(options)
        return ScriptedLLM("It works", provider=options.provider, model=options.model)

    kind = ProviderKind(name="made-up", open_client=open_client, success_status=299)
    monkeypatch.setitem(PROVIDER_KINDS, kind.name, kind)
    clock, context = SystemClock(), a_chat_context()
    context.model = "m"
    catalogue = load_catalogue(settings, {}, clock)
    async with open_llm(catalogue, settings, clock=clock, observer=RecordingObserver()) as llm:
        heard = await read_answer(llm.client, context)
    assert (heard.text, heard.error) == ("It works", None)
    assert [(each.provider, each.http_status) for each in context.attempts] == [("p", 299)]
    (options,) = opened
    assert (options.upstream, options.base_url, options.api_key) == (
        "m-9",
        "https://made-up.example/v9",
        "a-key",
    )
    used = options.cost(Usage(input_tokens=1_000_000, output_tokens=1_000_000))
    assert used.cost_usd == pytest.approx(3.0)


class RecordingSigner(Authorization):
    """Signs nothing, and counts how often it was prepared and closed."""

    prepared = 0
    closed = 0

    def prepare(self) -> None:
        self.prepared += 1

    async def headers(self, url: URL, content_type: str, body: bytes) -> Mapping[str, str]:
        return {}

    def renews(self, status: int, error: WireError, headers: Mapping[str, str]) -> bool:
        return False

    async def close(self) -> None:
        self.closed += 1


async def test_the_models_of_a_provider_share_its_signer_which_is_closed_at_the_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.models_file is not None
    text = MODELS.replace('base_url = "https://made-up.example/v9"', 'region = "us-east-1"')
    text = text.replace('api_key_env = "GEMINI_API_KEY"', "")
    settings.models_file.write_text(f'{text}\n[models.n]\nprovider = "p"\n', encoding="utf-8")
    opened: list[ClientOptions] = []
    signers: list[RecordingSigner] = []

    def open_client(options: ClientOptions) -> LLMClient:
        opened.append(options)
        return ScriptedLLM("It works", provider=options.provider, model=options.model)

    def open_signer(identity: AwsIdentity, provider: str) -> Authorization:
        signers.append(RecordingSigner())
        assert (identity.region, provider) == ("us-east-1", "p")
        return signers[-1]

    kind = ProviderKind(
        name="made-up",
        open_client=open_client,
        default_url=lambda region: f"https://{region}.made-up.example",
        open_signer=open_signer,
    )
    monkeypatch.setitem(PROVIDER_KINDS, kind.name, kind)
    clock = SystemClock()
    catalogue = load_catalogue(settings, {}, clock)
    async with open_llm(catalogue, settings, clock=clock, observer=RecordingObserver()):
        (signer,) = signers
        assert [options.authorization for options in opened] == [signer, signer]
        assert opened[0].base_url == "https://us-east-1.made-up.example"
        assert (signer.prepared, signer.closed) == (1, 0)
    assert signer.closed == 1


def test_a_kind_that_is_not_in_the_registry_is_refused(settings: Settings) -> None:
    with pytest.raises(
        ConfigurationError, match=r"kind: should be 'gemini', 'openai', 'anthropic' or 'bedrock'$"
    ):
        load_catalogue(settings, {}, SystemClock())


def test_the_demo_cannot_be_configured(settings: Settings) -> None:
    assert settings.models_file is not None
    settings.models_file.write_text(MODELS.replace("made-up", "demo", 1), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="kind: should be"):
        load_catalogue(settings, {}, SystemClock())
