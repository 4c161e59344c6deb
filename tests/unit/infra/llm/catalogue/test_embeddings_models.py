"""Embeddings models in a models file, and in the catalogue."""

from pathlib import Path

import pytest

from domain.entities.tools import Capability
from infra.configuration import ConfigurationError
from infra.llm.catalogue.catalogue import Catalogue
from infra.llm.catalogue.loader import load_catalogue
from infra.settings import Settings
from tests.fakes.clock import FakeClock

FILE = """
default = "chat"

[providers.here]
kind = "openai"
base_url = "http://127.0.0.1:11434/v1"

[providers.there]
kind = "openai"
base_url = "http://127.0.0.2:11434/v1"

[providers.claude]
kind = "anthropic"
base_url = "http://127.0.0.3:11434"

[providers.vertex]
kind = "gemini"
base_url = "http://127.0.0.4/v1/projects/p/locations/l/publishers/google"
auth = "google"

[models.chat]
provider = "here"

[models.e]
provider = "here"
upstream = "embed-3"
capabilities = ["embeddings"]
"""
TWIN = """
[models.twin]
provider = "there"
upstream = "maker/Embed-3"
capabilities = ["embeddings"]
"""
OTHER = """
[models.other]
provider = "there"
upstream = "embed-4"
capabilities = ["embeddings"]
"""


@pytest.fixture(autouse=True)
def _no_variables_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def of_file(tmp_path: Path, text: str, clock: FakeClock | None = None) -> Catalogue:
    file = tmp_path / "models.toml"
    file.write_text(text, encoding="utf-8")
    return load_catalogue(Settings(_env_file=None, models_file=file), {}, clock or FakeClock())


def test_a_model_with_the_capability_computes_embeddings_and_no_other_does(tmp_path: Path) -> None:
    catalogue = of_file(tmp_path, FILE)
    assert [model.id for model in catalogue.models() if model.computes_embeddings] == ["e"]
    assert catalogue.resolve("e").capabilities == {Capability.EMBEDDINGS}


def test_the_same_model_elsewhere_may_be_a_fallback(tmp_path: Path) -> None:
    text = FILE + 'fallbacks = ["twin"]\n' + TWIN
    assert of_file(tmp_path, text).entry("e").fallbacks == ("twin",)


def test_the_price_of_output_may_be_left_out(tmp_path: Path) -> None:
    text = FILE + "input_usd_per_million = 2\n"
    assert of_file(tmp_path, text).entry("e").usd_per_million == (2.0, 0.0)
    chat = text.replace("[models.chat]", "[models.chat]\ninput_usd_per_million = 2")
    with pytest.raises(ConfigurationError, match="state both or neither"):
        of_file(tmp_path, chat)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            FILE.replace('default = "chat"', 'default = "e"'),
            "default: e computes embeddings, so it answers no chat",
        ),
        (
            FILE.replace("[models.chat]", '[models.chat]\nfallbacks = ["e"]'),
            "[models.chat] fallbacks: e computes embeddings, so it answers no chat",
        ),
        (
            FILE.replace('["embeddings"]', '["embeddings", "tools"]'),
            '[models.e] capabilities: "embeddings" should stand alone',
        ),
        (
            FILE.replace('"here"\nupstream', '"claude"\nupstream'),
            '[models.e] capabilities: kind = "anthropic" has no "embeddings"',
        ),
        (
            FILE.replace('"here"\nupstream', '"vertex"\nupstream'),
            '[models.e] capabilities: "embeddings" is not for providers with auth',
        ),
        (
            FILE + 'fallbacks = ["twin"]\nspread = true\n' + TWIN,
            '[models.e] spread: not for models with "embeddings"',
        ),
        (
            FILE + 'fallbacks = ["other"]\n' + OTHER,
            "[models.e] fallbacks: other is not the same embeddings model",
        ),
        (
            FILE + 'fallbacks = ["twin"]\n' + TWIN.replace('capabilities = ["embeddings"]', ""),
            "[models.e] fallbacks: twin is not the same embeddings model",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        of_file(tmp_path, text)
    assert str(raised.value).endswith(f": {message}")


def test_it_never_becomes_the_default_while_a_model_chats(tmp_path: Path) -> None:
    hidden = FILE.replace('"here"\n\n', '"keyed"\n\n', 1) + (
        '[models.late]\nprovider = "there"\n'
        '[providers.keyed]\nkind = "openai"\nbase_url = "http://127.0.0.5"\napi_key_env = "UNSET"\n'
    )
    assert of_file(tmp_path, hidden).resolve(None).id == "late"
    gone = FILE.replace("[models.chat]", "[models.chat]\nshutdown_date = 2020-01-01")
    gone += '[models.late]\nprovider = "there"\n'
    assert of_file(tmp_path, gone).resolve(None).id == "late"


def test_without_any_provider_there_is_a_demo_of_each_sort() -> None:
    catalogue = load_catalogue(Settings(_env_file=None), {}, FakeClock())
    assert [model.id for model in catalogue.models()] == ["demo", "demo-embeddings"]
    assert catalogue.resolve(None).id == "demo"
    assert catalogue.is_demo_only()
