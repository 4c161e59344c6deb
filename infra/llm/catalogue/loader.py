"""Loads the catalogue: models of the models file whose provider has its key, and those of the environment."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from domain.entities.model import Model
from domain.entities.tools import Capability
from domain.interfaces.clock import Clock
from infra.configuration import ConfigurationError
from infra.llm.catalogue.catalogue import Catalogue, CatalogueModel, Provider
from infra.llm.catalogue.models_file import (
    DIALECT_KEYS,
    ModelsFile,
    ModelTable,
    ProviderTable,
    parse_models,
    provider_url,
    read_models_file,
    same_upstream,
)
from infra.llm.providers.bedrock.identity import AwsIdentity, Guardrail
from infra.llm.providers.demo import MODEL as DEMO_MODEL
from infra.llm.providers.demo import PROVIDER as DEMO_PROVIDER
from infra.llm.providers.demo_embeddings import MODEL as DEMO_EMBEDDINGS_MODEL
from infra.llm.providers.registry import DEMO, OPENAI, PROVIDER_KINDS, ProviderKind
from infra.llm.transport.dialect import Dialect
from infra.settings.providers import ProviderSettings

logger = logging.getLogger(__name__)

BUILT_IN_MODELS_FILE = Path(__file__).with_name("models.toml")

_OPENAI = "openai"
_OPENAI_URL = "https://api.openai.com/v1"
_OPENAI_MODEL = Model(
    id="gpt-5.4-mini",
    owned_by=_OPENAI,
    context_tokens=400_000,
    max_output_tokens=128_000,
    capabilities=OPENAI.capabilities,
)

_DEMO_PROVIDER = Provider(
    name=DEMO_PROVIDER, kind=DEMO, base_url="", api_key=None, allow_http=False, price_url=""
)


def load_catalogue(
    settings: ProviderSettings, environment: Mapping[str, str], clock: Clock
) -> Catalogue:
    """Return the catalogue; with nothing configured, the demo alone.

    Args:
        settings: Models file, keys and base URLs.
        environment: For keys that only the models file names.
        clock: For shutdown dates.

    Raises:
        ConfigurationError: The models file or a base URL is invalid.
    """
    file = _models_file(settings)
    providers = dict(_providers(file, settings, environment))
    entries = {
        name: _entry(name, table, providers[table.provider], providers, file)
        for name, table in file.models.items()
        if table.provider in providers
    }
    if (openai := _openai(settings, providers.get(_OPENAI))) is not None:
        if openai.id in entries:
            logger.warning("OPENAI_MODEL is ignored: %s is in the models file", openai.id)
        entries.setdefault(openai.id, openai)
    if not entries:
        entries = {entry.id: entry for entry in (_demo(), _demo_embeddings())}
    default = entries.pop(file.default, None)
    # the first one answers chats that name no model
    others = sorted(entries.values(), key=lambda entry: entry.model.computes_embeddings)
    return Catalogue([*([default] if default else []), *others], clock=clock)


def _models_file(settings: ProviderSettings) -> ModelsFile:
    if settings.models_toml is None:
        return read_models_file(settings.models_file or BUILT_IN_MODELS_FILE)
    if settings.models_file is not None:
        raise ConfigurationError("MODELS_FILE, MODELS_TOML: set one of them")
    return parse_models(settings.models_toml, "MODELS_TOML")


def _providers(
    file: ModelsFile, settings: ProviderSettings, environment: Mapping[str, str]
) -> Iterator[tuple[str, Provider]]:
    overrides = {
        "gemini": settings.gemini_base_url,
        "openrouter": settings.openrouter_base_url,
        _OPENAI: settings.openai_base_url,
    }
    for name, table in file.providers.items():
        api_key = None
        if table.api_key_env is not None:
            api_key = _secret(table.api_key_env, settings, environment)
            if not api_key:
                logger.info("provider %s is skipped: %s is not set", name, table.api_key_env)
                continue
        override = overrides.get(name)
        kind = PROVIDER_KINDS[table.kind]
        default_url, identity = table.base_url or "", None
        if kind.default_url is not None:
            identity = _identity(table, environment)
            default_url = kind.default_url(identity.region)
        base_url = _address(f"{name.upper()}_BASE_URL", override) or table.base_url or default_url
        yield (
            name,
            Provider(
                name=name,
                kind=kind,
                base_url=base_url,
                api_key=api_key,
                allow_http=table.allow_http,
                price_url=default_url,
                dialect=_dialect(kind, base_url, table),
                identity=identity,
                enabled_by=table.api_key_env,
                api_key_header=table.api_key_header,
                has_google_auth=table.auth is not None,
            ),
        )


def _identity(table: ProviderTable, environment: Mapping[str, str]) -> AwsIdentity:
    return AwsIdentity(
        region=table.region or "",
        role_arn=table.role_arn,
        access_key_id=environment.get("AWS_ACCESS_KEY_ID"),
        secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
        session_token=environment.get("AWS_SESSION_TOKEN"),
    )


def _dialect(kind: ProviderKind, base_url: str, table: ProviderTable) -> Dialect | None:
    """Return the dialect that the models file states for a provider; None where it states none."""
    keys = {key: getattr(table, key) for key in DIALECT_KEYS}
    stated = {key: value for key, value in keys.items() if value is not None}
    if not stated or kind.default_dialect is None:
        return None
    return replace(kind.default_dialect(base_url), **stated)


def _secret(name: str, settings: ProviderSettings, environment: Mapping[str, str]) -> str | None:
    known = getattr(settings, name.lower(), None)
    if isinstance(known, SecretStr):
        return _header_value(name, known.get_secret_value())
    return _header_value(name, environment.get(name, ""))


def _header_value(name: str, key: str) -> str:
    """Return a key without surrounding white space, such as the line end of a file."""
    key = key.strip()
    if not key.isprintable():
        raise ConfigurationError(f"{name}: a key must not contain control characters")
    return key


def _address(variable: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return provider_url(text)
    except ValueError as exc:
        raise ConfigurationError(f"{variable}: {exc}") from exc


def _entry(
    name: str,
    table: ModelTable,
    provider: Provider,
    providers: Mapping[str, Provider],
    file: ModelsFile,
) -> CatalogueModel:
    usd_per_million = None
    # Only models without output have no price for it.
    if table.input_usd_per_million is not None:
        usd_per_million = (table.input_usd_per_million, table.output_usd_per_million or 0.0)
    fallbacks = tuple(
        other for other in table.fallbacks if file.models[other].provider in providers
    )
    sharing = [other for other in same_upstream(file, name) if other in fallbacks]
    return CatalogueModel(
        model=Model(
            id=name,
            owned_by=provider.name,
            aliases=tuple(table.aliases),
            context_tokens=table.context_tokens,
            max_output_tokens=table.max_output_tokens,
            capabilities=provider.kind.capabilities
            if table.capabilities is None
            else frozenset(table.capabilities),
            shutdown_date=table.shutdown_date,
        ),
        provider=provider,
        upstream=table.upstream or name,
        fallbacks=fallbacks,
        spread=(name, *sharing) if table.spread and sharing else (),
        weight=table.weight,
        first_token_seconds=table.first_token_seconds,
        continues=table.continues,
        shared_family=table.family,
        successor=table.successor,
        usd_per_million=usd_per_million,
        cached_input_usd_per_million=table.cached_input_usd_per_million,
        cache_write_usd_per_million=table.cache_write_usd_per_million,
        cache_points=table.cache_points,
        guardrail=_guardrail(table),
    )


def _guardrail(table: ModelTable) -> Guardrail | None:
    if table.guardrail is None:
        return None
    return Guardrail(
        id=table.guardrail.id, version=table.guardrail.version, trace=table.guardrail.trace
    )


def _openai(settings: ProviderSettings, file_provider: Provider | None) -> CatalogueModel | None:
    """Return the model that OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL describe; None when they describe none."""
    if file_provider is not None:
        provider = file_provider
        if settings.openai_model is None:
            return None
    else:
        key = settings.openai_api_key
        address = _address("OPENAI_BASE_URL", settings.openai_base_url)
        if key is None and (address is None or settings.openai_model is None):
            if address is not None or settings.openai_model is not None:
                logger.warning(
                    "provider openai is skipped: set OPENAI_API_KEY, or both OPENAI_BASE_URL and OPENAI_MODEL"
                )
            return None
        provider = Provider(
            name=_OPENAI,
            kind=OPENAI,
            base_url=address or _OPENAI_URL,
            api_key=_header_value("OPENAI_API_KEY", key.get_secret_value()) if key else None,
            allow_http=False,
            price_url=address or _OPENAI_URL,
            enabled_by="OPENAI_API_KEY" if key else "OPENAI_BASE_URL",
        )
    model = _OPENAI_MODEL
    if settings.openai_model not in (None, model.id):
        # its limits are unknown; a models file can state them
        model = Model(
            id=str(settings.openai_model),
            owned_by=provider.name,
            capabilities=provider.kind.capabilities,
        )
    return CatalogueModel(model=model, provider=provider, upstream=model.id)


def _demo() -> CatalogueModel:
    return CatalogueModel(
        model=Model(
            id=DEMO_MODEL,
            owned_by=DEMO_PROVIDER,
            context_tokens=1_048_576,
            max_output_tokens=65_536,
            capabilities=DEMO.capabilities,
        ),
        provider=_DEMO_PROVIDER,
        upstream=DEMO_MODEL,
    )


def _demo_embeddings() -> CatalogueModel:
    return CatalogueModel(
        model=Model(
            id=DEMO_EMBEDDINGS_MODEL,
            owned_by=DEMO_PROVIDER,
            capabilities=frozenset({Capability.EMBEDDINGS}),
        ),
        provider=_DEMO_PROVIDER,
        upstream=DEMO_EMBEDDINGS_MODEL,
    )
