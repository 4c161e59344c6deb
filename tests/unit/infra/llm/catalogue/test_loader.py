"""Which models there are, by which names, and what a wrong models file is told."""

import logging
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from domain.entities.model import Model
from domain.entities.tools import OF_CHATS
from domain.exceptions import RetiredModel, UnknownModel
from infra.configuration import ConfigurationError, read_environment
from infra.llm.catalogue.catalogue import Catalogue, CatalogueModel
from infra.llm.catalogue.loader import load_catalogue
from infra.llm.providers.registry import DEMO
from infra.llm.transport.dialect import Dialect
from infra.settings import Settings
from tests.fakes.clock import FakeClock

KEY = SecretStr("test-key")
FLASH, LITE, PRO = "gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-3.1-pro-preview"
MINI = "openai/gpt-5.4-mini"
VECTORS = "gemini-embedding-001"
DAY_SECONDS = 86_400.0

PROVIDERS = """
[providers.here]
kind = "openai"
base_url = "http://127.0.0.1:11434/v1"
"""
A_MODEL = """
[models.a]
provider = "here"
context_tokens = 1000
max_output_tokens = 100
"""


@pytest.fixture(autouse=True)
def _no_variables_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def loaded(
    *, environment: dict[str, str] | None = None, clock: FakeClock | None = None, **settings: Any
) -> Catalogue:
    return load_catalogue(
        Settings(_env_file=None, **settings), environment or {}, clock or FakeClock()
    )


def of_file(tmp_path: Path, text: str, **settings: Any) -> Catalogue:
    file = tmp_path / "models.toml"
    file.write_text(text, encoding="utf-8")
    return loaded(models_file=file, **settings)


def ids(catalogue: Catalogue) -> list[str]:
    return [model.id for model in catalogue.models()]


def entry(catalogue: Catalogue, name: str) -> CatalogueModel:
    return next(entry for entry in catalogue.entries if entry.id == name)


class TestBuiltIn:
    def test_with_all_keys_every_model_is_there_and_the_default_first(self) -> None:
        catalogue = loaded(gemini_api_key=KEY, openrouter_api_key=KEY)
        assert ids(catalogue) == [FLASH, LITE, PRO, MINI, VECTORS]
        assert catalogue.resolve(None) == Model(
            id=FLASH,
            owned_by="gemini",
            aliases=("gemini-2.5-flash",),
            context_tokens=1_048_576,
            max_output_tokens=65_536,
            capabilities=OF_CHATS,
        )
        assert not catalogue.is_demo_only()
        assert catalogue.plain_http_providers() == []

    @pytest.mark.parametrize(
        ("retired", "successor"),
        [
            ("gemini-1.5-pro", PRO),
            ("gemini-2.5-flash", FLASH),
            ("gemini-2.5-flash-lite-preview-06-17", LITE),
        ],
    )
    def test_models_that_are_gone_are_names_of_their_successors(
        self, retired: str, successor: str
    ) -> None:
        assert loaded(gemini_api_key=KEY).resolve(retired).id == successor

    def test_what_nobody_offers_is_unknown_and_what_there_is_is_named(self) -> None:
        with pytest.raises(UnknownModel) as raised:
            loaded(gemini_api_key=KEY).resolve("gpt-2")
        assert raised.value.known == (FLASH, LITE, PRO, VECTORS)
        assert not isinstance(raised.value, RetiredModel)

    def test_a_provider_without_its_key_is_left_out_with_one_line(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO):
            catalogue = loaded(gemini_api_key=KEY)
        assert ids(catalogue) == [FLASH, LITE, PRO, VECTORS]
        assert entry(catalogue, FLASH).fallbacks == ()
        assert entry(catalogue, PRO).fallbacks == (FLASH,)
        assert [record.getMessage() for record in caplog.records] == [
            "provider openrouter is skipped: OPENROUTER_API_KEY is not set"
        ]

    def test_without_the_default_models_provider_another_is_the_default(self) -> None:
        assert loaded(openrouter_api_key=KEY).resolve(None).id == MINI

    def test_with_nothing_configured_there_is_the_demo(self) -> None:
        catalogue = loaded()
        assert ids(catalogue) == ["demo", "demo-embeddings"]
        assert catalogue.is_demo_only()
        assert catalogue.entries[0].provider.kind is DEMO

    def test_a_key_never_shows_in_a_representation(self) -> None:
        catalogue = loaded(gemini_api_key=KEY)
        assert catalogue.entries[0].provider.api_key == "test-key"
        assert "test-key" not in repr(catalogue.entries)

    def test_addresses_may_be_overridden(self) -> None:
        catalogue = loaded(
            gemini_api_key=KEY,
            gemini_base_url="http://proxy.example/",
            openrouter_api_key=KEY,
            openrouter_base_url="https://eu.example/v1",
        )
        flash, mini = entry(catalogue, FLASH).provider, entry(catalogue, MINI).provider
        assert (flash.base_url, mini.base_url) == ("http://proxy.example", "https://eu.example/v1")
        assert flash.price_url == "https://generativelanguage.googleapis.com"
        assert catalogue.plain_http_providers() == ["gemini"]

    @pytest.mark.parametrize("name", ["gemini_base_url", "openrouter_base_url", "openai_base_url"])
    @pytest.mark.parametrize(
        "address", ["ftp://x", "example.org", "https://u:p@x", "https://x?k=1"]
    )
    def test_a_wrong_address_is_told_by_its_variable(self, name: str, address: str) -> None:
        keys = {"gemini_api_key": KEY, "openrouter_api_key": KEY, "openai_api_key": KEY}
        with pytest.raises(ConfigurationError, match=rf"^{name.upper()}: ") as raised:
            loaded(**keys, **{name: address})
        assert address not in str(raised.value)


class TestOpenAIByVariables:
    def test_a_key_alone_adds_openai(self) -> None:
        catalogue = loaded(openai_api_key=KEY)
        assert ids(catalogue) == ["gpt-5.4-mini"]
        provider = catalogue.entries[0].provider
        assert (provider.name, provider.base_url) == ("openai", "https://api.openai.com/v1")
        assert provider.api_key == "test-key"

    def test_a_local_server_needs_no_key(self) -> None:
        catalogue = loaded(openai_base_url="http://localhost:11434/v1", openai_model="llama4:8b")
        assert ids(catalogue) == ["llama4:8b"]
        assert catalogue.entries[0].provider.api_key is None
        assert catalogue.entries[0].upstream == "llama4:8b"
        assert catalogue.plain_http_providers() == ["openai"]

    @pytest.mark.seen("B11")
    def test_of_a_model_that_only_a_variable_names_no_limit_is_known(self) -> None:
        model = loaded(openai_api_key=KEY, openai_model="any").resolve("any")
        assert (model.context_tokens, model.max_output_tokens) == (None, None)

    def test_it_stands_behind_the_default_of_the_file(self) -> None:
        catalogue = loaded(gemini_api_key=KEY, openai_api_key=KEY, openai_model="gpt-5.6-sol")
        assert ids(catalogue) == [FLASH, LITE, PRO, "gpt-5.6-sol", VECTORS]

    @pytest.mark.parametrize(
        "settings", [{"openai_base_url": "http://localhost:11434/v1"}, {"openai_model": "x"}]
    )
    def test_half_of_it_is_left_out_with_a_line_that_says_what_to_set(
        self, settings: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        assert loaded(**settings).is_demo_only()
        assert "set OPENAI_API_KEY, or both OPENAI_BASE_URL and OPENAI_MODEL" in caplog.text

    def test_a_model_the_file_has_is_not_replaced(self, caplog: pytest.LogCaptureFixture) -> None:
        catalogue = loaded(gemini_api_key=KEY, openai_api_key=KEY, openai_model=FLASH)
        assert entry(catalogue, FLASH).provider.name == "gemini"
        assert "OPENAI_MODEL is ignored" in caplog.text

    def test_a_provider_of_that_name_in_the_file_gets_the_model(self, tmp_path: Path) -> None:
        text = f'default = "a"\n{PROVIDERS.replace("here", "openai")}{A_MODEL.replace("here", "openai")}'
        catalogue = of_file(
            tmp_path, text, openai_base_url="https://other.example/v1", openai_model="b"
        )
        assert ids(catalogue) == ["a", "b"]
        assert {e.provider.base_url for e in catalogue.entries} == {"https://other.example/v1"}


class TestOwnFile:
    def test_it_replaces_the_built_in_one(self, tmp_path: Path) -> None:
        text = f"""default = "b/c"
{PROVIDERS}{A_MODEL}
[providers.far]
kind = "gemini"
base_url = "http://far.example/"
api_key_env = "FAR_KEY"
allow_http = true

[models."b/c"]
provider = "far"
upstream = "c"
aliases = ["b", "c"]
fallbacks = ["a"]
context_tokens = 2000
max_output_tokens = 200
first_token_seconds = 30
continues = true
shutdown_date = 2027-06-30
successor = "a"
input_usd_per_million = 0
output_usd_per_million = 3.5
"""
        catalogue = of_file(tmp_path, text, environment={"FAR_KEY": "far-key"})
        assert ids(catalogue) == ["b/c", "a"]
        found = entry(catalogue, "b/c")
        assert found.provider.api_key == "far-key"
        assert found.provider.base_url == "http://far.example"
        assert (found.upstream, found.fallbacks, found.continues) == ("c", ("a",), True)
        assert (found.first_token_seconds, found.usd_per_million) == (30.0, (0.0, 3.5))
        assert found.model.shutdown_date == date(2027, 6, 30)
        assert catalogue.resolve("c").id == "b/c"
        assert catalogue.plain_http_providers() == ["here"]
        plain = entry(catalogue, "a")
        assert (plain.upstream, plain.first_token_seconds, plain.usd_per_million) == (
            "a",
            None,
            None,
        )

    @pytest.mark.seen("B11")
    @pytest.mark.parametrize("left_out", ["context_tokens = 1000\n", "max_output_tokens = 100\n"])
    def test_a_limit_that_it_does_not_state_is_not_known(
        self, tmp_path: Path, left_out: str
    ) -> None:
        model = of_file(tmp_path, A_FILE.replace(left_out, "")).resolve("a")
        expected = (None, 100) if left_out.startswith("context") else (1000, None)
        assert (model.context_tokens, model.max_output_tokens) == expected

    def test_the_text_of_a_file_may_stand_in_a_setting(self, tmp_path: Path) -> None:
        assert ids(loaded(models_toml=A_FILE)) == ["a"]
        with pytest.raises(ConfigurationError, match=r"^MODELS_TOML: \[models.a\] x: unknown key"):
            loaded(models_toml=A_FILE + "x = 1\n")
        with pytest.raises(ConfigurationError, match=r"^MODELS_TOML: is not TOML"):
            loaded(models_toml="=")
        with pytest.raises(ConfigurationError, match=r"^MODELS_FILE, MODELS_TOML: set one"):
            of_file(tmp_path, A_FILE, models_toml=A_FILE)

    @pytest.mark.seen("B1")
    def test_how_a_server_wants_to_be_asked_may_be_stated(self, tmp_path: Path) -> None:
        stated = 'stream_options = false\nlimit_field = "max_completion_tokens"\nsystem_role = false\nstream = false\nprompt_cache_key = true'
        file = A_FILE.replace('kind = "openai"', f'kind = "openai"\n{stated}')
        assert entry(of_file(tmp_path, file), "a").provider.dialect == Dialect(
            stream=False,
            stream_options=False,
            limit_field="max_completion_tokens",
            system_role=False,
            prompt_cache_key=True,
        )
        half = A_FILE.replace('kind = "openai"', 'kind = "openai"\nstream_options = false')
        half = half.replace("http://127.0.0.1:11434/v1", "https://api.openai.com/v1")
        assert entry(of_file(tmp_path, half), "a").provider.dialect == Dialect(
            stream_options=False, limit_field="max_completion_tokens", prompt_cache_key=True
        )
        assert entry(of_file(tmp_path, A_FILE), "a").provider.dialect is None

    def test_a_key_that_only_the_file_names_works_from_the_env_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        env_file = tmp_path / ".env"
        env_file.write_text("FAR_KEY='from file'\nNEAR_KEY=from file\nEMPTY=\n", encoding="utf-8")
        monkeypatch.setenv("NEAR_KEY", "from process")
        monkeypatch.setenv("FAR_KEY", "")  # as compose hands on what nobody set
        found = read_environment(env_file)
        assert (found["FAR_KEY"], found["NEAR_KEY"]) == ("from file", "from process")
        assert "EMPTY" not in found

    def test_no_env_file_is_no_failure(self, tmp_path: Path) -> None:
        assert "PATH" in read_environment(tmp_path / "none")


class TestShutDown:
    TEXT = f"""default = "old"
{PROVIDERS}
[models.old]
provider = "here"
context_tokens = 1000
max_output_tokens = 100
shutdown_date = 2026-11-23
successor = "new"
aliases = ["former"]

[models.new]
provider = "here"
context_tokens = 1000
max_output_tokens = 100

[models.gone]
provider = "here"
context_tokens = 1000
max_output_tokens = 100
shutdown_date = 2026-11-23

[models.heir]
provider = "here"
aliases = ["gone"]
context_tokens = 1000
max_output_tokens = 100
"""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()  # 22 November 2026

    @pytest.fixture
    def catalogue(self, tmp_path: Path, clock: FakeClock) -> Catalogue:
        return of_file(tmp_path, self.TEXT, clock=clock)

    def test_until_that_day_is_over_nothing_changes(
        self, catalogue: Catalogue, clock: FakeClock
    ) -> None:
        clock.advance(DAY_SECONDS)
        assert ids(catalogue) == ["old", "new", "gone", "heir"]
        assert catalogue.resolve("gone").id == "gone"

    def test_afterwards_it_is_refused_and_names_its_successor(
        self, catalogue: Catalogue, clock: FakeClock
    ) -> None:
        clock.advance(2 * DAY_SECONDS)
        assert ids(catalogue) == ["new", "heir"]
        for name in ("old", "former"):
            with pytest.raises(RetiredModel) as raised:
                catalogue.resolve(name)
            assert raised.value.successor == "new"
            assert raised.value.known == ("new", "heir")

    def test_afterwards_its_name_goes_to_who_has_it_as_an_alias(
        self, catalogue: Catalogue, clock: FakeClock
    ) -> None:
        clock.advance(2 * DAY_SECONDS)
        assert catalogue.resolve("gone").id == "heir"

    def test_callers_who_name_no_model_get_the_successor_of_the_default(
        self, catalogue: Catalogue, clock: FakeClock
    ) -> None:
        clock.advance(2 * DAY_SECONDS)
        assert catalogue.resolve(None).id == "new"

    def test_or_any_that_is_left_when_it_has_none(self, tmp_path: Path, clock: FakeClock) -> None:
        text = self.TEXT.replace('successor = "new"\n', "")
        catalogue = of_file(tmp_path, text, clock=clock)
        clock.advance(2 * DAY_SECONDS)
        assert catalogue.resolve(None).id == "new"
        with pytest.raises(RetiredModel) as raised:
            catalogue.resolve("old")
        assert raised.value.successor is None


A_FILE = f'default = "a"\n{PROVIDERS}{A_MODEL}'
B_MODEL = A_MODEL.replace("models.a", "models.b")

MISTAKES = {
    "not TOML": ("default = ", "is not TOML: "),
    "no default": (PROVIDERS + A_MODEL, "default: is missing"),
    "no such default": (A_FILE.replace('"a"', '"z"'), "default: there is no [models.z]"),
    "no models": ('default = "a"\n' + PROVIDERS, "models: is missing"),
    "unknown table": (A_FILE + "[other]\n", "other: unknown key"),
    "unknown key": (A_FILE + "colour = 1\n", "[models.a] colour: unknown key"),
    "unquoted dot": (
        A_FILE + A_MODEL.replace("models.a", "models.b-3.8-x"),
        "[models.b-3] 8-x: unknown key; a name with a dot in it needs quotes",
    ),
    "missing key": (
        A_FILE.replace('provider = "here"\n', ""),
        "[models.a] provider: is missing",
    ),
    "wrong type": (
        A_FILE.replace("= 1000", '= "1000"'),
        "[models.a] context_tokens: should be a valid integer",
    ),
    "not a table": ("models.a = 1\n" + A_FILE.replace(A_MODEL, ""), "[models.a] should be a table"),
    "zero": (A_FILE.replace("= 100\n", "= 0\n"), "[models.a] max_output_tokens: should be greater"),
    "more out than in": (
        A_FILE.replace("= 100\n", "= 1001\n"),
        "[models.a] max_output_tokens: more than context_tokens",
    ),
    "bad date": (
        A_FILE + 'shutdown_date = "soon"\n',
        "[models.a] shutdown_date: should be a valid date",
    ),
    "a dialect of another kind": (
        A_FILE.replace('kind = "openai"', 'kind = "gemini"\nstream = false'),
        '[providers.here] stream: only for kind = "openai"',
    ),
    "a spread over nothing": (
        A_FILE + "spread = true\n",
        "[models.a] spread: no fallback has the same upstream",
    ),
    "a price of cached input alone": (
        A_FILE + "cached_input_usd_per_million = 1\n",
        "[models.a] cached_input_usd_per_million: needs input_usd_per_million",
    ),
    "a price of writes to a cache alone": (
        A_FILE + "cache_write_usd_per_million = 1\n",
        "[models.a] cache_write_usd_per_million: needs input_usd_per_million",
    ),
    "no weight": (A_FILE + "weight = 0\n", "[models.a] weight: should be greater than 0"),
    "a header of the key for another kind": (
        A_FILE.replace(
            'kind = "openai"', 'kind = "gemini"\napi_key_env = "K"\napi_key_header = "api-key"'
        ),
        '[providers.here] api_key_header: only for kind = "openai"',
    ),
    "a header without a key": (
        A_FILE.replace('kind = "openai"', 'kind = "openai"\napi_key_header = "api-key"'),
        "[providers.here] api_key_header: needs api_key_env",
    ),
    "no name of a header": (
        A_FILE.replace(
            'kind = "openai"', 'kind = "openai"\napi_key_env = "K"\napi_key_header = "api key:"'
        ),
        "[providers.here] api_key_header: should match pattern",
    ),
    "tokens of Google for another kind": (
        A_FILE.replace('kind = "openai"', 'kind = "openai"\nauth = "google"'),
        '[providers.here] auth: only for kind = "gemini"',
    ),
    "tokens and a key": (
        A_FILE.replace('kind = "openai"', 'kind = "gemini"\nauth = "google"\napi_key_env = "K"'),
        "[providers.here] auth, api_key_env: state one of them",
    ),
    "tokens for another address": (
        A_FILE.replace('kind = "openai"', 'kind = "gemini"\nauth = "google"'),
        '[providers.here] base_url: should end with /publishers/google where auth = "google"',
    ),
    "no such credentials": (
        A_FILE.replace('kind = "openai"', 'kind = "gemini"\nauth = "aws"'),
        "[providers.here] auth: should be 'google'",
    ),
    "no such limit field": (
        A_FILE.replace('kind = "openai"', 'kind = "openai"\nlimit_field = "tokens"'),
        "[providers.here] limit_field: should be 'max_tokens' or 'max_completion_tokens'",
    ),
    "no address": (
        A_FILE.replace('base_url = "http://127.0.0.1:11434/v1"', ""),
        "[providers.here] base_url: is missing",
    ),
    "region of another kind": (
        A_FILE.replace('kind = "openai"', 'kind = "openai"\nregion = "us-east-1"'),
        '[providers.here] region: only for kind = "bedrock"',
    ),
    "guardrail of another kind": (
        A_FILE + 'guardrail = { id = "gr7", version = "1" }\n',
        '[models.a] guardrail: only for kind = "bedrock"',
    ),
    "points of the cache for another kind": (
        A_FILE + "cache_points = true\n",
        '[models.a] cache_points: only for kind = "bedrock"',
    ),
    "guardrail without a version": (
        A_FILE + 'guardrail = { id = "gr7" }\n',
        "[models.a] guardrail.version: is missing",
    ),
    "bad version of a guardrail": (
        A_FILE + 'guardrail = { id = "gr7", version = "0" }\n',
        "[models.a] guardrail.version: should match pattern",
    ),
    "bad guardrail": (
        A_FILE + 'guardrail = { id = "gr 7", version = "1" }\n',
        "[models.a] guardrail.id: should match pattern",
    ),
    "bad trace of a guardrail": (
        A_FILE + 'guardrail = { id = "gr7", version = "1", trace = "on" }\n',
        "[models.a] guardrail.trace: should be 'enabled', 'enabled_full' or 'disabled'",
    ),
    "no region": (
        A_FILE.replace('"openai"', '"bedrock"'),
        "[providers.here] region: is missing",
    ),
    "bad region": (
        A_FILE.replace('"openai"', '"bedrock"\nregion = "us-east-1.evil.example"'),
        "[providers.here] region: should match pattern",
    ),
    "bad role": (
        A_FILE.replace('"openai"', '"bedrock"\nregion = "us-east-1"\nrole_arn = "admin"'),
        "[providers.here] role_arn: should match pattern",
    ),
    "role and key": (
        A_FILE.replace(
            '"openai"',
            '"bedrock"\nregion = "us-east-1"\napi_key_env = "KEY"\nrole_arn = "arn:aws:iam::123456789012:role/x"',
        ),
        "[providers.here] role_arn, api_key_env: state one of them",
    ),
    "bad kind": (
        A_FILE.replace('"openai"', '"claude"'),
        "[providers.here] kind: should be 'gemini', 'openai', 'anthropic' or 'bedrock'",
    ),
    "bad address": (
        A_FILE.replace("http://127.0.0.1:11434", "localhost:11434"),
        "[providers.here] base_url: should be an address like https://host/path",
    ),
    "key instead of its name": (
        A_FILE.replace('kind = "openai"', 'kind = "openai"\napi_key_env = "sk-123"'),
        "[providers.here] api_key_env: should match pattern",
    ),
    "no such provider": (
        A_FILE.replace('provider = "here"', 'provider = "there"'),
        "[models.a] provider: there is no [providers.there]",
    ),
    "no such fallback": (
        A_FILE + 'fallbacks = ["b.c"]\n',
        '[models.a] fallbacks: there is no [models."b.c"]',
    ),
    "own fallback": (
        A_FILE + 'fallbacks = ["a"]\n',
        "[models.a] fallbacks: names the model itself",
    ),
    "fallback twice": (
        A_FILE + 'fallbacks = ["b", "b"]\n' + B_MODEL,
        "[models.a] fallbacks: names a model twice",
    ),
    "no such successor": (
        A_FILE + 'successor = "b"\n',
        "[models.a] successor: there is no [models.b]",
    ),
    "half a price": (
        A_FILE + "input_usd_per_million = 1\n",
        "[models.a] input_usd_per_million, output_usd_per_million: state both or neither",
    ),
    "negative price": (
        A_FILE + "input_usd_per_million = -1\noutput_usd_per_million = 1\n",
        "[models.a] input_usd_per_million: should be greater than or equal to 0",
    ),
    "endless price": (
        A_FILE + "input_usd_per_million = inf\noutput_usd_per_million = 1\n",
        "[models.a] input_usd_per_million: should be a finite number",
    ),
    "alias of two": (
        A_FILE + 'aliases = ["x"]\n' + B_MODEL + 'aliases = ["x"]\n',
        "[models.b] aliases: x is an alias of a too",
    ),
    "alias is a model": (
        A_FILE + 'aliases = ["b"]\n' + B_MODEL,
        "[models.a] aliases: b is a model itself",
    ),
    "blank in a name": (
        A_FILE + A_MODEL.replace("models.a", 'models."b c"'),
        '[models."b c"] should match pattern',
    ),
    "alias of a wrong shape": (A_FILE + 'aliases = ["ok", ""]\n', "[models.a] aliases.1: "),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_one_line_with_file_table_and_key(tmp_path: Path, mistake: str) -> None:
    text, told = MISTAKES[mistake]
    with pytest.raises(ConfigurationError) as raised:
        of_file(tmp_path, text)
    line = str(raised.value)
    assert line.startswith(f"{tmp_path / 'models.toml'}: {told}")
    assert "\n" not in line


def test_the_file_that_the_mistakes_are_made_in_is_right(tmp_path: Path) -> None:
    assert ids(of_file(tmp_path, A_FILE)) == ["a"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: cannot be read: No such file"):
        loaded(models_file=tmp_path / "none.toml")


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_bytes(b'default = "\xff"')
    with pytest.raises(ConfigurationError, match=r"is not UTF-8 text .line 1.: save it as UTF-8"):
        loaded(models_file=file)
