"""What production does not start with."""

import re
from collections.abc import Iterable, Iterator, Sequence

from infra.configuration import ConfigurationError
from infra.settings import Settings

_LEAST_SECRET_CHARACTERS = 32
_SAYS_WHETHER_TLS = re.compile(r"[?&](?:tls|ssl)=", re.IGNORECASE)
_ON_THIS_MACHINE = re.compile(
    r"(?:localhost|127\.\d+\.\d+\.\d+|\[::1\]|%2f[^,/]*)(?::\d+)?", re.IGNORECASE
)


def refuse_unsafe(
    settings: Settings, *, plain_http_providers: Iterable[str], is_demo_only: bool
) -> None:
    """Return when it is safe to serve.

    Args:
        settings: What is configured.
        plain_http_providers: Providers of the catalogue that are reached without TLS and do not allow it.
        is_demo_only: The catalogue holds no other model than the demo.

    Raises:
        ConfigurationError: `ENVIRONMENT=production` with a setting that is only good for trying things out; the
            message names every one of them in one line.
    """
    _refuse(
        settings,
        [*_serving(settings), *_stores(settings), *_providers(plain_http_providers, is_demo_only)],
    )


def refuse_unsafe_stores(settings: Settings) -> None:
    """Return when it is safe to carry interactions to the store; else raise as `refuse_unsafe` does."""
    _refuse(settings, list(_stores(settings)))


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


def _stores(settings: Settings) -> Iterator[str]:
    if settings.mongo_uri is not None and not _is_private(settings.mongo_uri.get_secret_value()):
        yield "MONGO_URI does not ask for TLS (tls=true in it does, tls=false permits it)"
    if (endpoint := settings.aws_endpoint_url) and not endpoint.startswith("https://"):
        yield "AWS_ENDPOINT_URL is not an https URL"
    if settings.aws_emulator:
        yield "AWS_EMULATOR is true"


def _providers(plain_http_providers: Iterable[str], is_demo_only: bool) -> Iterator[str]:
    for provider in plain_http_providers:
        yield f"provider {provider} is reached over plain http (allow_http = true in MODELS_FILE permits it)"
    if is_demo_only:
        yield "no provider is configured, so only the demo model would answer"


def _is_private(mongo_uri: str) -> bool:
    """Return whether nobody on the way can read along, or the operator said that this is all right."""
    if mongo_uri.startswith("mongodb+srv://") or _SAYS_WHETHER_TLS.search(mongo_uri):
        return True
    hosts = mongo_uri.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return all(_ON_THIS_MACHINE.fullmatch(host) for host in hosts.split(","))
