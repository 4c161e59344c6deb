"""Settings of authentication, proxies and origins."""

from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from infra.settings.group import Names, Seconds, split_names
from infra.settings.process import ProcessSettings


class AccessSettings(ProcessSettings):
    """Which clients are accepted, and how they prove their identity."""

    title = "Access"

    authentication: Literal["none", "api_keys", "jwt", "api_keys,jwt"] = Field(
        default="none",
        description="How clients authenticate; `none` accepts only clients on this machine.",
    )
    allow_anonymous: bool = Field(
        default=False,
        description="With AUTHENTICATION=none, accepts clients on other machines too.",
    )
    allowed_hosts: Names = Field(
        default=(),
        description="Host names under which this service may be called, besides loopback names.",
    )
    trusted_proxies: Names = Field(
        default=(),
        description="Addresses and networks of proxies whose X-Forwarded-For, Forwarded and X-Forwarded-Prefix headers are trusted.",
    )
    cors_origins: Names = Field(
        default=(), description="Origins whose pages may call this service."
    )
    api_keys: Names = Field(
        default=(), description="API keys as hash lines, as `keys create --line` prints them."
    )
    api_keys_file: Path | None = Field(
        default=None, description="File of such hash lines; changes take effect within 2 s."
    )
    keys_stale_seconds: Seconds = Field(
        default=900.0,
        description="Time for which the last known keys stay valid while their file cannot be read.",
    )
    jwt_issuer: str | None = Field(
        default=None, description="Required `iss` claim of a token; an exact match."
    )
    jwt_audience: str | None = Field(
        default=None, description="Value that a token's `aud` claim must contain."
    )
    jwks_url: str | None = Field(
        default=None,
        description="URL of the issuer's public keys; no other URL is called for a token.",
    )
    jwt_user_claim: str = Field(default="sub", description="Claim that contains the user id.")
    jwt_leeway_seconds: float = Field(
        default=30.0,
        ge=0.0,
        le=60.0,
        description="Accepted difference between the issuer's clock and this host's.",
    )
    cursor_secret: SecretStr | None = Field(
        default=None,
        description="Signs page cursors; if not set, a secret is generated in DATA_DIR.",
    )

    @field_validator("authentication", mode="before")
    @classmethod
    def _in_order(cls, value: object) -> object:
        if isinstance(value, str):
            return ",".join(sorted(part.strip().lower() for part in value.split(",")))
        return value

    @field_validator("allowed_hosts", "api_keys", "cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split_names(value)

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            ip_network(name)
        return value
