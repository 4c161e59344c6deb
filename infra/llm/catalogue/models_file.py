"""The format of a models file. Errors are reported in one line: file, table, key."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
)

from domain.entities.tools import Capability
from infra.configuration import ConfigurationError
from infra.llm.catalogue.model_names import shared_name
from infra.llm.providers.registry import PROVIDER_KINDS
from infra.operator_text import NotUtf8, text_of

Name = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/+-]*$", max_length=128)
]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]*$", max_length=64)]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]+$")]
RoleArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\x21-\x7e]{1,512}$")
]


_VERTEX_PATH = "/publishers/google"


def provider_url(text: str) -> str:
    """Return `text` without a slash at its end.

    Raises:
        ValueError: It is not the URL of a provider.
    """
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("should be an address like https://host/path")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("should have no user, query or fragment")
    return text.rstrip("/")


def provider_kind(name: str) -> str:
    """Return the name of a kind of provider.

    Raises:
        ValueError: No provider of that kind can be configured.
    """
    names = [kind.name for kind in PROVIDER_KINDS.values() if not kind.is_demo]
    if name not in names:
        raise ValueError(f"should be {_alternatives(names)}")
    return name


def _alternatives(names: list[str]) -> str:
    *others, last = [repr(name) for name in names]
    return f"{', '.join(others)} or {last}"


class Table(BaseModel):
    """A table of the file; rejects unknown keys and values of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ProviderTable(Table):
    """A provider: its kind, base URL or region, key or role, and dialect."""

    kind: Annotated[str, AfterValidator(provider_kind)]
    base_url: Annotated[str, AfterValidator(provider_url)] | None = None
    region: Region | None = None
    role_arn: RoleArn | None = None
    api_key_env: VariableName | None = None
    api_key_header: HeaderName | None = None
    auth: Literal["google"] | None = None
    allow_http: bool = False
    stream: bool | None = None
    stream_options: bool | None = None
    limit_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    system_role: bool | None = None
    prompt_cache_key: bool | None = None
    reasoning_field: (
        Literal["reasoning_content", "reasoning", "reasoning_details", "none"] | None
    ) = None


DIALECT_KEYS = (
    "stream",
    "stream_options",
    "limit_field",
    "system_role",
    "reasoning_field",
    "prompt_cache_key",
)
"""The keys of a provider that describe the dialect of its server."""


class GuardrailTable(Table):
    """The guardrail of a model at Amazon Bedrock."""

    id: Annotated[
        str,
        StringConstraints(
            pattern=r"^([a-z0-9]+|arn:aws(-[a-z]+)*:bedrock:[a-z0-9-]+:[0-9]{12}:guardrail/[a-z0-9]+)$"
        ),
    ]
    version: Annotated[str, StringConstraints(pattern=r"^([1-9][0-9]{0,7}|DRAFT)$")]
    trace: Literal["enabled", "enabled_full", "disabled"] | None = None


class ModelTable(Table):
    """A model and its properties."""

    provider: Name
    upstream: str | None = Field(default=None, min_length=1)
    aliases: list[Name] = []
    fallbacks: list[Name] = []
    spread: bool = False
    weight: PositiveFloat = 1.0
    capabilities: list[Annotated[Capability, Field(strict=False)]] | None = None
    family: Name | None = None
    context_tokens: PositiveInt | None = None
    max_output_tokens: PositiveInt | None = None
    first_token_seconds: PositiveFloat | None = None
    continues: bool = False
    cache_points: bool | None = None
    guardrail: GuardrailTable | None = None
    shutdown_date: date | None = None
    successor: Name | None = None
    input_usd_per_million: NonNegativeFloat | None = None
    output_usd_per_million: NonNegativeFloat | None = None
    cached_input_usd_per_million: NonNegativeFloat | None = None
    cache_write_usd_per_million: NonNegativeFloat | None = None

    @property
    def computes_embeddings(self) -> bool:
        """Whether it computes embeddings, instead of chatting."""
        return Capability.EMBEDDINGS in (self.capabilities or ())


class ModelsFile(Table):
    """The whole file."""

    default: Name
    providers: dict[Name, ProviderTable]
    models: dict[Name, ModelTable]


def read_models_file(path: Path) -> ModelsFile:
    """Read a file and check it, including the references between its tables.

    Raises:
        ConfigurationError: The first error found.
    """
    try:
        text = text_of(path.read_bytes())
    except OSError as exc:
        raise ConfigurationError(f"{path}: cannot be read: {exc.strerror}") from exc
    except NotUtf8 as exc:
        raise ConfigurationError(f"{path}: {exc}") from exc
    return parse_models(text, str(path))


def parse_models(text: str, source: str) -> ModelsFile:
    """Parse the text of a models file and check it.

    Args:
        text: In TOML.
        source: Where it comes from, for errors.

    Raises:
        ConfigurationError: The first error found.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError(f"{source}: is not TOML: {exc}") from exc
    try:
        file = ModelsFile.model_validate(document)
    except ValidationError as exc:
        raise ConfigurationError(f"{source}: {_message(_most_useful(exc))}") from exc
    checks = (
        _wrong_addresses,
        _wrong_dialects,
        _wrong_auth,
        _wrong_names,
        _wrong_spreads,
        _wrong_bedrock_keys,
        _wrong_embeddings,
    )
    for error in (error for check in checks for error in check(file)):
        raise ConfigurationError(f"{source}: {error}")
    return file


def table_name(kind: str, name: str) -> str:
    """Return the header of a table in the file."""
    bare = name.replace("-", "").replace("_", "").isalnum() and name.isascii()
    return f"[{kind}.{name}]" if bare else f'[{kind}."{name}"]'


_MESSAGES = {
    "extra_forbidden": "unknown key",
    "missing": "is missing",
    "model_type": "should be a table",
    "model_attributes_type": "should be a table",
    "dict_type": "should be a table",
}


def _most_useful(exc: ValidationError) -> Mapping[str, Any]:
    """Return the error to report: a misspelt key is often the reason why another is missing."""
    errors = exc.errors()
    return next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])


def _message(error: Mapping[str, Any]) -> str:
    message = _MESSAGES.get(error["type"])
    if message is None:
        message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
        message = message.removeprefix("String ")
    where = [str(part) for part in error["loc"] if part != "[key]"]
    if error["type"] == "extra_forbidden" and isinstance(error["input"], dict) and len(where) > 2:
        message += "; a name with a dot in it needs quotes"
    if len(where) < 2:
        return f"{where[0] if where else 'the file'}: {message}"
    table, *key = where[1:]
    head = table_name(where[0], table)
    return f"{head} {'.'.join(key)}: {message}" if key else f"{head} {message}"


def _wrong_addresses(file: ModelsFile) -> Iterator[str]:
    for name, provider in file.providers.items():
        head = table_name("providers", name)
        if PROVIDER_KINDS[provider.kind].default_url is None:
            if provider.base_url is None:
                yield f"{head} base_url: is missing"
            for key in ("region", "role_arn"):
                if getattr(provider, key) is not None:
                    yield f'{head} {key}: only for kind = "bedrock"'
        elif provider.region is None:
            yield f"{head} region: is missing"
        elif provider.api_key_env is not None and provider.role_arn is not None:
            yield f"{head} role_arn, api_key_env: state one of them"


def _wrong_dialects(file: ModelsFile) -> Iterator[str]:
    for name, provider in file.providers.items():
        stated = [key for key in DIALECT_KEYS if getattr(provider, key) is not None]
        if stated and PROVIDER_KINDS[provider.kind].default_dialect is None:
            kinds = [f'"{kind.name}"' for kind in PROVIDER_KINDS.values() if kind.default_dialect]
            yield f"{table_name('providers', name)} {stated[0]}: only for kind = {' or '.join(kinds)}"


def _wrong_auth(file: ModelsFile) -> Iterator[str]:
    for name, provider in file.providers.items():
        head = table_name("providers", name)
        if provider.api_key_header is not None:
            if not PROVIDER_KINDS[provider.kind].names_key_header:
                kinds = [
                    f'"{kind.name}"' for kind in PROVIDER_KINDS.values() if kind.names_key_header
                ]
                yield f"{head} api_key_header: only for kind = {' or '.join(kinds)}"
            if provider.api_key_env is None:
                yield f"{head} api_key_header: needs api_key_env"
        if provider.auth is None:
            continue
        if not PROVIDER_KINDS[provider.kind].takes_google_tokens:
            kinds = [
                f'"{kind.name}"' for kind in PROVIDER_KINDS.values() if kind.takes_google_tokens
            ]
            yield f"{head} auth: only for kind = {' or '.join(kinds)}"
        if provider.api_key_env is not None:
            yield f"{head} auth, api_key_env: state one of them"
        if not (provider.base_url or "").endswith(_VERTEX_PATH):
            yield f'{head} base_url: should end with {_VERTEX_PATH} where auth = "google"'


def _wrong_names(file: ModelsFile) -> Iterator[str]:
    if file.default not in file.models:
        yield f"default: there is no {table_name('models', file.default)}"
    owners: dict[str, str] = {}
    for name, model in file.models.items():
        head = table_name("models", name)
        if model.provider not in file.providers:
            yield f"{head} provider: there is no {table_name('providers', model.provider)}"
        for key, others in (("fallbacks", model.fallbacks), ("successor", [model.successor])):
            for other in others:
                if other is not None and other not in file.models:
                    yield f"{head} {key}: there is no {table_name('models', other)}"
                if other == name:
                    yield f"{head} {key}: names the model itself"
        if len(set(model.fallbacks)) < len(model.fallbacks):
            yield f"{head} fallbacks: names a model twice"
        has_both = (model.input_usd_per_million is None) == (model.output_usd_per_million is None)
        has_no_output = model.computes_embeddings and model.output_usd_per_million is None
        if not has_both and not has_no_output:
            yield f"{head} input_usd_per_million, output_usd_per_million: state both or neither"
        for key in ("cached_input_usd_per_million", "cache_write_usd_per_million"):
            if getattr(model, key) is not None and model.input_usd_per_million is None:
                yield f"{head} {key}: needs input_usd_per_million"
        if (model.max_output_tokens or 0) > (model.context_tokens or inf):
            yield f"{head} max_output_tokens: more than context_tokens"
        for alias in model.aliases:
            if alias in owners:
                yield f"{head} aliases: {alias} is an alias of {owners[alias]} too"
            # the name of a model with a shutdown date may become an alias on that day
            if alias in file.models and file.models[alias].shutdown_date is None:
                yield f"{head} aliases: {alias} is a model itself"
            owners[alias] = name


def same_upstream(file: ModelsFile, name: str) -> list[str]:
    """Return the fallbacks of a model that are other routes to the same upstream model, in order."""
    model = file.models[name]
    own = shared_name(model.upstream or name)
    return [
        other
        for other in model.fallbacks
        if shared_name(file.models[other].upstream or other) == own
    ]


def _wrong_spreads(file: ModelsFile) -> Iterator[str]:
    for name, model in file.models.items():
        if model.spread and not same_upstream(file, name):
            yield f"{table_name('models', name)} spread: no fallback has the same upstream"


def _wrong_bedrock_keys(file: ModelsFile) -> Iterator[str]:
    for name, model in file.models.items():
        if PROVIDER_KINDS[file.providers[model.provider].kind].default_url is not None:
            continue
        for key in ("cache_points", "guardrail"):
            if getattr(model, key) is not None:
                yield f'{table_name("models", name)} {key}: only for kind = "bedrock"'


def _wrong_embeddings(file: ModelsFile) -> Iterator[str]:
    if file.models[file.default].computes_embeddings:
        yield f"default: {file.default} computes embeddings, so it answers no chat"
    for name, model in file.models.items():
        head = table_name("models", name)
        if not model.computes_embeddings:
            for other in model.fallbacks:
                if file.models[other].computes_embeddings:
                    yield f"{head} fallbacks: {other} computes embeddings, so it answers no chat"
            continue
        provider = file.providers[model.provider]
        if len(model.capabilities or ()) > 1:
            yield f'{head} capabilities: "embeddings" should stand alone'
        if PROVIDER_KINDS[provider.kind].embeddings is None:
            yield f'{head} capabilities: kind = "{provider.kind}" has no "embeddings"'
        if provider.auth is not None:
            yield f'{head} capabilities: "embeddings" is not for providers with auth'
        if model.spread:
            yield f'{head} spread: not for models with "embeddings"'
        same = same_upstream(file, name)
        for other in model.fallbacks:
            # vectors of two models have nothing in common
            if other not in same or not file.models[other].computes_embeddings:
                yield f"{head} fallbacks: {other} is not the same embeddings model"
