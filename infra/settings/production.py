"""Settings that production refuses to start with."""

from collections.abc import Iterable, Iterator, Sequence

from infra.configuration import ConfigurationError
from infra.settings import Settings

_LEAST_SECRET_CHARACTERS = 32


def refuse_unsafe(
    settings: Settings,
    *,
    unsafe_stores: Iterable[str],
    plain_http_providers: Iterable[str],
    is_demo_only: bool,
) -> None:
    """Check that the settings are safe to serve with.

    Args:
        settings: The configuration.
        unsafe_stores: Unsafe settings of the stores, one phrase each.
        plain_http_providers: Providers of the catalogue that use plain http without allowing it.
        is_demo_only: Whether the catalogue has no model but the demo.

    Raises:
        ConfigurationError: `ENVIRONMENT=production` with settings for trial use; the message names all of them in one
            line.
    """
    _refuse(
        settings,
        [*_serving(settings), *unsafe_stores, *_providers(plain_http_providers, is_demo_only)],
    )


def refuse_unsafe_stores(settings: Settings, unsafe_stores: Sequence[str]) -> None:
    """Refuse unsafe settings of the stores alone, as `refuse_unsafe` does: a worker needs no others."""
    _refuse(settings, unsafe_stores)


def _refuse(settings: Settings, reasons: Sequence[str]) -> None:
    if reasons and settings.environment == "production":
        raise ConfigurationError(f"ENVIRONMENT=production refuses to start: {'; '.join(reasons)}")


def _serving(settings: Settings) -> Iterator[str]:
    if settings.authentication == "none":
        yield "AUTHENTICATION is none"
    if "*" in settings.cors_origins:
        yield "CORS_ORIGINS is *"
    if settings.cursor_secret is None:
        yield "CURSOR_SECRET is missing"
    elif len(settings.cursor_secret.get_secret_value()) < _LEAST_SECRET_CHARACTERS:
        yield f"CURSOR_SECRET is shorter than {_LEAST_SECRET_CHARACTERS} characters"
    if "jwt" in settings.authentication and not (settings.jwks_url or "").startswith("https://"):
        yield "JWKS_URL is not an https URL"


def _providers(plain_http_providers: Iterable[str], is_demo_only: bool) -> Iterator[str]:
    for provider in plain_http_providers:
        yield f"provider {provider} is reached over plain http (allow_http = true in MODELS_FILE permits it)"
    if is_demo_only:
        yield "no provider is configured, so only the demo model would answer"
