"""What production does not start with, cause by cause."""

from typing import Any

import pytest

from infra.configuration import ConfigurationError
from infra.llm.catalogue.loader import load_catalogue
from infra.settings import Settings
from infra.settings.production import refuse_unsafe, refuse_unsafe_stores
from infra.stores.registry import unsafe_stores
from tests.fakes.clock import FakeClock

SAFE: dict[str, Any] = {
    "environment": "production",
    "authentication": "api_keys",
    "cursor_secret": "0123456789abcdef0123456789abcdef",
    "openai_base_url": "https://models.example/v1",
    "openai_model": "m",
}


def start(**changes: Any) -> None:
    settings = Settings(_env_file=None, **{**SAFE, **changes})
    catalogue = load_catalogue(settings, {}, FakeClock())
    refuse_unsafe(
        settings,
        unsafe_stores=unsafe_stores(settings),
        plain_http_providers=catalogue.plain_http_providers(),
        is_demo_only=catalogue.is_demo_only(),
    )


def test_what_is_safe_starts() -> None:
    start()


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"authentication": "none"}, "AUTHENTICATION is none"),
        ({"authentication": "none", "allow_anonymous": True}, "AUTHENTICATION is none"),
        ({"cors_origins": ("https://a.example", "*")}, "CORS_ORIGINS is *"),
        ({"cursor_secret": None}, "CURSOR_SECRET is missing"),
        ({"cursor_secret": "0" * 31}, "CURSOR_SECRET is shorter than 32 characters"),
        ({"authentication": "jwt", "jwks_url": "http://a"}, "JWKS_URL is not an https URL"),
        ({"authentication": "api_keys,jwt"}, "JWKS_URL is not an https URL"),
        ({"openai_base_url": "http://models.example"}, "over plain http"),
        ({"openai_base_url": None, "openai_model": None}, "only the demo model"),
        ({"mongo_uri": "mongodb://db.example"}, "MONGO_URI does not ask for TLS"),
        ({"mongo_uri": "mongodb://u:p@localhost,db.example:1/?w=1"}, "MONGO_URI does not"),
        ({"mongo_uri": "mongodb://localhost@db.example/"}, "MONGO_URI does not"),
        ({"aws_endpoint_url": "http://localhost:4566"}, "AWS_ENDPOINT_URL is not an https URL"),
    ],
)
def test_what_is_only_good_for_trying_things_out_does_not_start(
    changes: dict[str, Any], cause: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        start(**changes)
    assert cause in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(refused.value).count(";") == 0


def test_every_cause_is_told_at_once_and_outside_production_none_is() -> None:
    unsafe: dict[str, Any] = {"authentication": "none", "cursor_secret": None}
    with pytest.raises(ConfigurationError, match=r"AUTHENTICATION .*; CURSOR_SECRET "):
        start(**unsafe)
    start(**unsafe, environment="development")


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb+srv://u:p@cluster.example/",
        "mongodb://u:p@db.example/?tls=true",
        "mongodb://db.example/?w=1&SSL=true",
        "mongodb://db.example/?tls=false",
        "mongodb://u:p@localhost:27017,127.0.0.1,[::1]:1/?replicaSet=rs0",
        "mongodb://%2Ftmp%2Fmongodb.sock/",
    ],
)
def test_a_store_reached_over_tls_or_by_the_operators_word_is_safe(uri: str) -> None:
    start(mongo_uri=uri)


def test_a_worker_refuses_unsafe_stores_and_nothing_else() -> None:
    worker: dict[str, Any] = {"environment": "production", "mongo_uri": "mongodb://db.example"}
    unsafe = Settings(_env_file=None, **worker)
    with pytest.raises(ConfigurationError, match="MONGO_URI does not ask for TLS"):
        refuse_unsafe_stores(unsafe, unsafe_stores(unsafe))
    safe = Settings(_env_file=None, **{**worker, "mongo_uri": "mongodb+srv://db"})
    refuse_unsafe_stores(safe, unsafe_stores(safe))
