"""Signs the requests of one provider with its current credentials."""

import asyncio
import time
from collections.abc import Mapping

from yarl import URL

from infra.llm.providers.bedrock.credentials import AwsCredentials
from infra.llm.providers.bedrock.identity import AwsIdentity
from infra.llm.providers.bedrock.signature import Signature
from infra.llm.transport.authorization import Authorization
from infra.llm.transport.errors.body import WireError, plain_code

_LONG_BODY_BYTES = 256 * 1024
_EXPIRED = frozenset(
    plain_code(code)
    for code in (
        "ExpiredTokenException",
        "ExpiredToken",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
    )
)


class BedrockSigner(Authorization):
    """Signs with the role of the task or machine, or with one that is assumed.

    Args:
        identity: Who signs, and for which region.
        provider: The provider's name in the catalogue.
    """

    def __init__(self, identity: AwsIdentity, *, provider: str) -> None:
        self._credentials = AwsCredentials(identity, provider=provider)
        self._signature = Signature(identity.region)

    def prepare(self) -> None:
        self._credentials.renew()

    async def headers(self, url: URL, content_type: str, body: bytes) -> Mapping[str, str]:
        credentials = await self._credentials.current()
        arguments = (url, content_type, body, credentials)
        if len(body) < _LONG_BODY_BYTES:
            return self._signature.headers(*arguments, at_seconds=time.time())
        # its digest would stop all other calls
        return await asyncio.to_thread(self._signature.headers, *arguments, at_seconds=time.time())

    def renews(self, status: int, error: WireError, headers: Mapping[str, str]) -> bool:
        if error.codes.isdisjoint(_EXPIRED):
            return False
        _, _, scope = headers["Authorization"].partition("Credential=")
        self._credentials.discard(scope.partition("/")[0])
        return True

    async def close(self) -> None:
        await self._credentials.close()
