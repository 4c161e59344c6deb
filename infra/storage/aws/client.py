"""A client of one AWS service that heals by itself."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    NoCredentialsError,
    NoRegionError,
)

from infra.configuration import ConfigurationError
from infra.storage.aws.access import AwsAccess

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 1.0
READ_SECONDS = 2.0
CLOSE_SECONDS = 2.0
MAX_CONNECTIONS = 50
LONG_BODY_BYTES = 256 * 1024


class AwsClient:
    """Calls operations of one service.

    Credentials that cannot be had yet are looked for again with the next call.

    Attributes:
        is_emulator: Whether an emulator of AWS answers.
    """

    def __init__(self, service: str, access: AwsAccess, *, tries: int, read_seconds: float) -> None:
        self.is_emulator = access.is_emulator
        self._service = service
        self._access = access
        self._config = AioConfig(
            retries={"total_max_attempts": tries, "mode": "standard"},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=read_seconds,
            max_pool_connections=MAX_CONNECTIONS,
            tcp_keepalive=True,
            parameter_validation=False,  # ours are right, and checking them costs as much as sending them
        )
        self._session = AioSession()
        self._session.register("before-send", _stream_long_body)
        self._opened = AsyncExitStack()
        self._lock = asyncio.Lock()
        self._client: Any = None
        self._is_closed = False
        self._calls_under_way = 0
        self._is_idle = asyncio.Event()

    async def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to one call.

        Raises:
            botocore.exceptions.BotoCoreError: Not reached, no credentials, or closed.
            botocore.exceptions.ClientError: Refused.
        """
        if self._is_closed:
            raise ConnectionClosedError(endpoint_url=self._service)
        self._calls_under_way += 1
        try:
            client = self._client or await self.connect()
            answer: dict[str, Any] = await getattr(client, operation)(**parameters)
        finally:
            self._calls_under_way -= 1
            if not self._calls_under_way:
                self._is_idle.set()
        return answer

    async def connect(self) -> Any:
        """Return the driver's client, made if there is none; it connects when it is used."""
        async with self._lock:
            if self._client is None:
                arguments = self._access.client_arguments()
                # Before credentials are looked for: those may come later, a region does not.
                if (
                    arguments["region_name"] is None
                    and self._session.get_config_variable("region") is None
                ):
                    raise NoRegionError
                if (
                    arguments["aws_access_key_id"] is None
                    and await self._session.get_credentials() is None
                ):
                    raise NoCredentialsError
                self._client = await self._opened.enter_async_context(
                    self._session.create_client(self._service, config=self._config, **arguments)
                )
        return self._client

    async def close(self) -> None:
        """Refuse new calls, let those under way end for a while, and close the connections."""
        self._is_closed = True
        if self._calls_under_way:
            self._is_idle.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._is_idle.wait()
        await self._opened.aclose()


def _stream_long_body(request: AWSPreparedRequest, **_: Any) -> None:
    """Have a long body written piece by piece, so that others get their turn."""
    if isinstance(request.body, bytes) and len(request.body) > LONG_BODY_BYTES:
        request.body = io.BytesIO(request.body)


@asynccontextmanager
async def open_client(
    service: str, access: AwsAccess, *, tries: int, read_seconds: float = READ_SECONDS
) -> AsyncIterator[AwsClient]:
    """Use a service of AWS; that it cannot be reached yet is no error.

    Args:
        service: As the driver names it.
        access: Where and as whom.
        tries: How often a call is made that was throttled or not answered; 1 is no retry.
        read_seconds: Longest silence within one try.

    Raises:
        ConfigurationError: No region is known, or the endpoint is no URL.
    """
    client = AwsClient(service, access, tries=tries, read_seconds=read_seconds)
    try:
        try:
            await client.connect()
        except NoRegionError as exc:
            hint = ""
            if access.endpoint_url is not None:
                hint = "; if AWS_ENDPOINT_URL is an emulator, set AWS_EMULATOR=true instead"
            raise ConfigurationError(f"AWS_REGION is not set{hint}") from exc
        except ValueError as exc:
            raise ConfigurationError("AWS_ENDPOINT_URL is not valid") from exc
        except BotoCoreError as exc:
            logger.warning("no credentials for AWS yet (%s)", type(exc).__name__)
        yield client
    finally:
        await client.close()
