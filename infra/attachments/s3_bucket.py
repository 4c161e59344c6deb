"""The calls that attachments make of one S3 bucket."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from domain.interfaces.attachments import StoredContent
from infra.storage.aws.access import EMULATOR_REGION, AwsAccess
from infra.storage.aws.client import AwsClient, open_client
from infra.storage.aws.errors import code_of

TRIES = 2
SILENCE_SECONDS = 10.0

_ENCRYPTION = "AES256"
_MISSING = frozenset({"NoSuchKey", "404", "AccessDenied", "403"})
"""Error codes for a missing object; the last two where the policy permits listing below certain prefixes alone."""
_IS_THERE = frozenset({"BucketAlreadyExists", "BucketAlreadyOwnedByYou"})


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a listing."""

    key: str
    modified_at: datetime


class Bucket:
    """Calls one bucket. Every method raises `BotoCoreError` or `ClientError` if S3 fails.

    An emulator's bucket is created with the first call.
    """

    def __init__(self, s3: AwsClient, name: str, *, region: str | None) -> None:
        self._s3 = s3
        self._name = name
        self._region = region
        self._is_made = not s3.is_emulator

    async def put(self, key: str, content: StoredContent) -> None:
        """Store an object, in place of one with this key."""
        await self._call(
            "put_object",
            Key=key,
            Body=content.content,
            ContentType=content.media_type,
            ServerSideEncryption=_ENCRYPTION,
        )

    async def get(self, key: str) -> StoredContent | None:
        """Return an object; None if it is missing."""
        try:
            answer = await self._call("get_object", Key=key)
        except ClientError as exc:
            if await self._exists_after(exc, key):
                raise
            return None
        async with answer["Body"] as body:
            return StoredContent(media_type=answer["ContentType"], content=await body.read())

    async def copy(self, source: str, target: str) -> bool:
        """Copy an object; return False if it is missing."""
        try:
            await self._call(
                "copy_object",
                Key=target,
                CopySource={"Bucket": self._name, "Key": source},
                ServerSideEncryption=_ENCRYPTION,
            )
        except ClientError as exc:
            if await self._exists_after(exc, source):
                raise
            return False
        return True

    async def delete(self, key: str) -> None:
        """Delete an object; no-op if it is missing."""
        await self._call("delete_object", Key=key)

    async def has_any(self, prefix: str) -> bool:
        """Return whether an object has a key that begins with `prefix`."""
        return bool((await self._page(prefix, {"MaxKeys": 1}))[0])

    async def listed(self, prefix: str) -> AsyncIterator[Sequence[StoredObject]]:
        """Yield the objects whose keys begin with `prefix`, in the order of keys and in pages."""
        parameters: dict[str, Any] = {}
        while True:
            page, token = await self._page(prefix, parameters)
            yield page
            if token is None:
                return
            parameters = {"ContinuationToken": token}

    async def _page(
        self, prefix: str, parameters: dict[str, Any]
    ) -> tuple[Sequence[StoredObject], str | None]:
        answer = await self._call("list_objects_v2", Prefix=prefix, **parameters)
        found = [
            StoredObject(one["Key"], one["LastModified"]) for one in answer.get("Contents", ())
        ]
        return found, answer.get("NextContinuationToken")

    async def _exists_after(self, error: ClientError, key: str) -> bool:
        """Return whether an object exists after a call about it failed; True if the error has another cause."""
        return code_of(error) not in _MISSING or await self.has_any(key)

    async def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        if not self._is_made:
            await self._make()
            self._is_made = True
        return await self._s3(operation, Bucket=self._name, **parameters)

    async def _make(self) -> None:
        parameters: dict[str, Any] = {}
        if self._region not in {None, EMULATOR_REGION}:
            parameters = {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        try:
            await self._s3("create_bucket", Bucket=self._name, **parameters)
        except ClientError as exc:
            if code_of(exc) not in _IS_THERE:
                raise


@asynccontextmanager
async def open_bucket(access: AwsAccess, name: str) -> AsyncIterator[Bucket]:
    """Use a bucket; it need not be reachable yet.

    The configured endpoint is used for an emulator alone: without one it may be that of DynamoDB.

    Raises:
        ConfigurationError: No region is known.
    """
    options: dict[str, Any] = {"s3": {"addressing_style": "path"}}
    if not access.is_emulator:
        access = replace(access, endpoint_url=None)
        options = {"ignore_configured_endpoint_urls": True}
    async with open_client(
        "s3", access, tries=TRIES, read_seconds=SILENCE_SECONDS, options=options
    ) as s3:
        yield Bucket(s3, name, region=access.region)
