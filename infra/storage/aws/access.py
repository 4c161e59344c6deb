"""Endpoint, region and credentials of AWS or of an emulator."""

import logging
from dataclasses import dataclass, field
from typing import Self

from infra.configuration import ConfigurationError
from infra.settings.history import HistorySettings

logger = logging.getLogger(__name__)

EMULATOR_REGION = "us-east-1"
EMULATOR_KEY = "emulator"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsAccess:
    """How AWS is reached; values that are None are determined as by all AWS tools.

    Attributes:
        region: None: that of the shared configuration.
        endpoint_url: An address other than the region's own, such as a VPC endpoint or an emulator.
        is_emulator: Whether an emulator is used: missing tables and queues are created, which on AWS is part of the
            deployment, and neither a region nor credentials are needed.
        access_key_id: None: the role of the task or instance, or the shared credentials.
        secret_access_key: The secret of `access_key_id`.
        session_token: Goes with temporary credentials.
    """

    region: str | None = None
    endpoint_url: str | None = None
    is_emulator: bool = False
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    @classmethod
    def from_settings(cls, settings: HistorySettings) -> Self:
        """Return the access that the settings describe.

        Raises:
            ConfigurationError: An emulator without an address.
        """
        if settings.aws_emulator and settings.aws_endpoint_url is None:
            raise ConfigurationError(
                "AWS_EMULATOR needs AWS_ENDPOINT_URL, the address of the emulator"
            )
        secret, token = settings.aws_secret_access_key, settings.aws_session_token
        return cls(
            region=settings.aws_region,
            endpoint_url=settings.aws_endpoint_url,
            is_emulator=settings.aws_emulator,
            access_key_id=settings.aws_access_key_id,
            secret_access_key=None if secret is None else secret.get_secret_value(),
            session_token=None if token is None else token.get_secret_value(),
        )

    def client_arguments(self) -> dict[str, str | None]:
        """Return the keyword arguments of the driver's `create_client`."""
        region, key, secret = self.region, self.access_key_id, self.secret_access_key
        if self.is_emulator:
            region = region or EMULATOR_REGION
            if key is None:
                key = secret = EMULATOR_KEY
        return {
            "region_name": region,
            "endpoint_url": self.endpoint_url,
            "aws_access_key_id": key,
            "aws_secret_access_key": secret,
            "aws_session_token": self.session_token,
        }


def warn_of_plain_endpoint(settings: HistorySettings) -> None:
    """Log a warning for an address without TLS that is not declared to be an emulator's."""
    endpoint = settings.aws_endpoint_url or ""
    if endpoint.startswith("http://") and not settings.aws_emulator:
        logger.warning(
            "AWS_ENDPOINT_URL is plain http and treated as AWS itself, with your region and credentials;"
            " if it is an emulator, set AWS_EMULATOR=true"
        )
