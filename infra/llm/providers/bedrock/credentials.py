"""The credentials of one provider, renewed before they expire."""

import asyncio
import logging
import os
from functools import partial
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.credentials import (
    AioAssumeRoleCredentialFetcher,
    AioDeferredRefreshableCredentials,
)
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError

from domain.exceptions import LLMError, LLMMisconfigured, LLMUnavailable
from infra.llm.providers.bedrock.identity import AwsIdentity
from infra.product import SERVICE_NAME

logger = logging.getLogger(__name__)

_RENEW_SECONDS = 15 * 60
"""Before their end, as the driver's own clients do."""
_PAUSE_SECONDS = 30.0
"""Minimum time between two renewals of credentials that are still valid, so that a failing source is not queried with every call."""
_CONNECT_SECONDS = 1.0
_READ_SECONDS = 2.0
_TRIES = 2
_STS_ADDRESS = "AWS_ENDPOINT_URL_STS"


class AwsCredentials:
    """The current credentials of an identity.

    A task finds them, and renews them while the old ones are still valid, so that no call waits for it. Calls wait only
    where there are none, or where they have expired.

    Args:
        identity: Whose credentials.
        provider: The provider's name in the catalogue.
    """

    def __init__(self, identity: AwsIdentity, *, provider: str) -> None:
        self._identity = identity
        self._provider = provider
        self._source: Any = None
        self._current: ReadOnlyCredentials | None = None
        self._renewal: asyncio.Task[ReadOnlyCredentials] | None = None
        self._not_before_seconds = 0.0

    async def current(self) -> ReadOnlyCredentials:
        """Return valid credentials.

        Raises:
            LLMMisconfigured: The role cannot be assumed.
            LLMUnavailable: There are no credentials now; the next call looks for them again.
        """
        if self._current is None or self._expire_within(0):
            try:
                return await asyncio.shield(self.renew())
            except LLMError as error:
                raise type(error)(
                    str(error)
                ) from error  # the task's own is shared with other calls
        if self._expire_within(_RENEW_SECONDS):
            self._renew_soon()
        return self._current

    def renew(self) -> "asyncio.Task[ReadOnlyCredentials]":
        """Return the task that finds or renews them, which is started unless it runs."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renewed())
            self._renewal.add_done_callback(_log_failure)
        return self._renewal

    def discard(self, access_key: str) -> None:
        """Search for credentials again with the next call, if these were the current ones."""
        if self._current is not None and self._current.access_key == access_key:
            self._source = self._current = None

    async def close(self) -> None:
        """Stop a renewal."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)

    def _expire_within(self, seconds: float) -> bool:
        needs_renewal = getattr(self._source, "refresh_needed", None)  # only temporary ones have it
        return needs_renewal is not None and bool(needs_renewal(seconds))

    def _renew_soon(self) -> None:
        now_seconds = asyncio.get_running_loop().time()
        if now_seconds >= self._not_before_seconds:
            self._not_before_seconds = now_seconds + _PAUSE_SECONDS
            self.renew()

    async def _renewed(self) -> ReadOnlyCredentials:
        try:
            if self._source is None:
                self._source = await self._find()
            self._current = await self._source.get_frozen_credentials()
        except Exception as exc:
            if self._current is None or self._expire_within(0):
                self._source = self._current = None
            raise self._translated(exc) from exc
        return self._current

    async def _find(self) -> Any:
        identity = self._identity
        session = AioSession()
        if identity.access_key_id is not None:
            session.set_credentials(
                identity.access_key_id, identity.secret_access_key, identity.session_token
            )
        found = await session.get_credentials()
        if found is None:
            raise LLMUnavailable(f"there are no AWS credentials for {self._provider}")
        if identity.role_arn is None:
            return found
        fetcher = AioAssumeRoleCredentialFetcher(
            partial(session.create_client, region_name=identity.region, config=sts_config()),
            found,
            identity.role_arn,
            extra_args={"RoleSessionName": SERVICE_NAME},
        )
        return AioDeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")

    def _translated(self, error: Exception) -> LLMError:
        if isinstance(error, LLMError):
            return error
        if isinstance(error, ClientError) and _is_our_fault(error):
            return LLMMisconfigured(f"the role of {self._provider} cannot be assumed")
        if isinstance(error, BotoCoreError | ClientError):
            return LLMUnavailable(f"the AWS credentials of {self._provider} cannot be renewed")
        return LLMUnavailable(f"the AWS credentials of {self._provider} are not usable")


def sts_config() -> AioConfig:
    """Return how STS is called: at the region's address, or at the one that is meant for it alone."""
    return AioConfig(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": _TRIES, "mode": "standard"},
        # AWS_ENDPOINT_URL is the address of the table
        ignore_configured_endpoint_urls=_STS_ADDRESS not in os.environ,
    )


def _is_our_fault(error: ClientError) -> bool:
    """Return whether STS refuses the request, other than for a limit or for credentials that are being replaced."""
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    return 400 <= status < 500 and code not in _PASSING


_PASSING = frozenset({"Throttling", "ThrottlingException", "ExpiredToken", "ExpiredTokenException"})


def _log_failure(renewal: "asyncio.Task[ReadOnlyCredentials]") -> None:
    if not renewal.cancelled() and (error := renewal.exception()) is not None:
        logger.warning("%s (%s)", error, type(error.__cause__ or error).__name__)
