"""Google's token servers: the one of service accounts, and the metadata server of a virtual machine."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import jwt
import orjson
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.fakes.issuer import KEYS, WEAK_KEY

_SERVICE_ACCOUNT = "service@project.iam.gserviceaccount.com"
_AUDIENCE = "https://oauth2.googleapis.com/token"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_METADATA = "/computeMetadata/v1"
_ACCOUNT = f"{_METADATA}/instance/service-accounts/default"


class FakeTokenServer:
    """Issues tokens, each valid for `lifetime_seconds`.

    Attributes:
        lifetime_seconds: Of the tokens issued from now on.
        status: The status of the answers to requests for tokens; 200 issues one.
        issued: All tokens, in order.
        requests: How many times a token was asked for.
        go_on: Tokens are issued while it is set.
        accepts_metadata: The metadata server exists.
    """

    def __init__(self, now_seconds: Callable[[], float]) -> None:
        """Begin without tokens.

        Args:
            now_seconds: Returns the time in which tokens expire.
        """
        self.lifetime_seconds = 3600
        self.status = 200
        self.issued: list[str] = []
        self.requests = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self.accepts_metadata = True
        self.host = ""
        self._now_seconds = now_seconds
        self._expiries: dict[str, float] = {}
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/token", self._exchange)
        app.router.add_get("/", self._ping)
        app.router.add_get(f"{_METADATA}/project/project-id", self._project)
        app.router.add_get(f"{_ACCOUNT}/", self._account)
        app.router.add_get(f"{_ACCOUNT}/token", self._metadata_token)
        app.router.add_get("/{path:.*}", self._unknown)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.host = "{}:{}".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.go_on.set()
        # a fetch that still runs would leave a connection behind, for the next test to find
        for thread in threading.enumerate():
            if thread.name.startswith("token of "):
                await asyncio.to_thread(thread.join, 10.0)
        assert self._runner is not None
        await self._runner.cleanup()

    def is_valid(self, token: str) -> bool:
        """Return whether a token was issued and is neither expired nor revoked."""
        return self._now_seconds() < self._expiries.get(token, 0.0)

    def revoke(self) -> None:
        """End all tokens issued so far."""
        self._expiries.clear()

    def write_key_file(
        self, file: Path, *, key: Any = KEYS["RS256"], host: str | None = None
    ) -> None:
        """Write the key file of a service account; one with another key is rejected."""
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        content = {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": _SERVICE_ACCOUNT,
            "token_uri": f"http://{host or self.host}/token",
        }
        file.write_bytes(orjson.dumps(content))

    async def _exchange(self, request: web.Request) -> web.Response:
        fields = parse_qs((await request.read()).decode())
        assert fields["grant_type"] == [_GRANT]
        try:
            claims = jwt.decode(
                fields["assertion"][0],
                KEYS["RS256"].public_key(),
                algorithms=["RS256"],
                audience=_AUDIENCE,
            )
        except jwt.InvalidSignatureError:
            self.requests += 1
            refusal = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            return web.json_response(refusal, status=400)
        assert (claims["iss"], claims["scope"]) == (_SERVICE_ACCOUNT, _SCOPE)
        return await self._token()

    async def _metadata_token(self, request: web.Request) -> web.Response:
        return await self._token() if self._is_metadata(request) else web.Response(status=404)

    async def _token(self) -> web.Response:
        self.requests += 1
        while not self.go_on.is_set():
            await asyncio.sleep(0.001)
        if self.status != 200:
            return web.json_response({"error": "made up"}, status=self.status)
        token = f"token-{len(self.issued) + 1}"
        self.issued.append(token)
        self._expiries[token] = self._now_seconds() + self.lifetime_seconds
        return web.json_response(
            {"access_token": token, "expires_in": self.lifetime_seconds, "token_type": "Bearer"},
            headers={"Metadata-Flavor": "Google"},
        )

    async def _ping(self, request: web.Request) -> web.Response:
        is_there = self._is_metadata(request)
        return web.Response(headers={"Metadata-Flavor": "Google"} if is_there else {})

    async def _project(self, request: web.Request) -> web.Response:
        return web.Response(text="project", headers={"Metadata-Flavor": "Google"})

    async def _account(self, request: web.Request) -> web.Response:
        account = {"aliases": ["default"], "email": _SERVICE_ACCOUNT, "scopes": [_SCOPE]}
        return web.json_response(account, headers={"Metadata-Flavor": "Google"})

    async def _unknown(self, request: web.Request) -> web.Response:
        return web.Response(status=404)

    def _is_metadata(self, request: web.Request) -> bool:
        return self.accepts_metadata and request.headers.get("Metadata-Flavor") == "Google"


OTHER_KEY = WEAK_KEY
"""A key that the service account does not have."""
