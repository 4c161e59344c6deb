"""A client of one AWS service that recovers from missing credentials and lost connections."""

import asyncio
import functools
import io
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import MappingProxyType
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
from botocore.loaders import Loader, create_loader

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

    If credentials are not available yet, the next call searches for them again.

    Attributes:
        is_emulator: Whether the service is an emulator.
    """

    def __init__(
        self,
        service: str,
        access: AwsAccess,
        *,
        tries: int,
        read_seconds: float,
        options: Mapping[str, Any],
    ) -> None:
        self.is_emulator = access.is_emulator
        self._service = service
        self._access = access
        self._config = AioConfig(
            retries={"total_max_attempts": tries, "mode": "standard"},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=read_seconds,
            max_pool_connections=MAX_CONNECTIONS,
            tcp_keepalive=True,
            parameter_validation=False,  # the check costs as much as sending, and the parameters are fixed in code
            **options,
        )
        self._session = _session()
        self._opened = AsyncExitStack()
        self._lock = asyncio.Lock()
        self._client: Any = None
        self._is_closed = False
        self._calls_in_flight = 0
        self._is_idle = asyncio.Event()

    async def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Return the response to one call.

        Raises:
            botocore.exceptions.BotoCoreError: The service was not reached, there are no credentials, or the client is closed.
            botocore.exceptions.ClientError: The service refused the call.
        """
        if self._is_closed:
            raise ConnectionClosedError(endpoint_url=self._service)
        self._calls_in_flight += 1
        try:
            client = self._client or await self.connect()
            response: dict[str, Any] = await getattr(client, operation)(**parameters)
        finally:
            self._calls_in_flight -= 1
            if not self._calls_in_flight:
                self._is_idle.set()
        return response

    async def connect(self) -> Any:
        """Return the driver's client, created on first use; it connects when it is called."""
        async with self._lock:
            if self._client is None:
                arguments = self._access.client_arguments()
                # Checked before the credentials: those may become available later, a region does not.
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
        """Refuse new calls, wait up to 2 s for the current ones, and close the connections."""
        self._is_closed = True
        if self._calls_in_flight:
            self._is_idle.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._is_idle.wait()
        await self._opened.aclose()


def _session() -> AioSession:
    session = AioSession()
    session.register("before-send", _stream_long_body)
    session.lazy_register_component(
        "data_loader", lambda: _descriptions(session.get_config_variable("data_path"))
    )
    return session


@functools.cache
def _descriptions(path: str | None) -> Loader:
    """Return the reader of the driver's descriptions of services; each file is read once for all clients.

    A reader of its own costs a client a fifth of a second of CPU: it parses two megabytes of JSON.
    """
    loader: Loader = create_loader(path)
    return loader


def _stream_long_body(request: AWSPreparedRequest, **_: Any) -> None:
    """Send a long body in chunks, so that other tasks run in between."""
    if isinstance(request.body, bytes) and len(request.body) > LONG_BODY_BYTES:
        request.body = io.BytesIO(request.body)


@asynccontextmanager
async def open_client(
    service: str,
    access: AwsAccess,
    *,
    tries: int,
    read_seconds: float = READ_SECONDS,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncIterator[AwsClient]:
    """Open a client of an AWS service; a service that cannot be reached yet is not an error.

    Args:
        service: The driver's name of the service.
        access: Region, endpoint and credentials.
        tries: Number of tries for a call that was throttled or not answered; with 1 there is no retry.
        read_seconds: Longest silence within one try.
        options: Further options of the driver's `Config`.

    Raises:
        ConfigurationError: No region is configured, or the endpoint is not a URL.
    """
    client = AwsClient(service, access, tries=tries, read_seconds=read_seconds, options=options)
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
