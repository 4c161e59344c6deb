"""The endpoint of a container's credentials, and STS, on loopback."""

import asyncio
from datetime import datetime
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.fakes.aws_signatures import IssuedKeys, Keys, Refused

_ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><AssumedRoleId>AROA:rt</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/x/rt</Arn>
</AssumedRoleUser><Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>
<SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration></Credentials></AssumeRoleResult>
<ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata></AssumeRoleResponse>"""
_ERROR = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>{code}</Code><Message>{message}</Message></Error><RequestId>fake</RequestId></ErrorResponse>"""


class FakeCredentials:
    """Issues temporary credentials; STS does so for those who sign with valid ones.

    Attributes:
        keys: All that are valid, also for other fakes.
        seconds: For how long new ones are valid.
        sts_seconds: The same for those of STS; None for the same time.
        given: Those of the container, in order.
        assumed: Those of STS, each with its role, in order.
        container_failure: Status with which the container's endpoint refuses, 0 for none.
        sts_failure: The same for STS.
        gate: Requests wait for it.
    """

    def __init__(self, *, seconds: float = 3600.0, region: str = "us-east-1") -> None:
        self.keys = IssuedKeys()
        self.seconds = seconds
        self.region = region
        self.given: list[Keys] = []
        self.assumed: list[tuple[str, Keys]] = []
        self.asked = 0
        self.sts_seconds: float | None = None
        self.container_failure = 0
        self.sts_failure = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.origin = ""
        self._runner: web.AppRunner | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which AWS's tools find both."""
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.origin}/credentials",
            "AWS_ENDPOINT_URL_STS": self.origin,
        }

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/credentials", self._container)
        app.router.add_post("/", self._sts)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.origin = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _container(self, request: web.Request) -> web.Response:
        self.asked += 1
        await self.gate.wait()
        if status := self.container_failure:
            return web.json_response({"message": "made up"}, status=status)
        keys = self.keys.issue(seconds=self.seconds)
        self.given.append(keys)
        return web.json_response(
            {
                "AccessKeyId": keys.access_key,
                "SecretAccessKey": keys.secret,
                "Token": keys.token,
                "Expiration": _iso(keys.expires_at),
            }
        )

    async def _sts(self, request: web.Request) -> web.Response:
        self.asked += 1
        body = await request.read()
        await self.gate.wait()
        if status := self.sts_failure:
            return _refusal(
                status, "AccessDenied" if status < 500 else "InternalFailure", "made up"
            )
        try:
            self.keys.check(
                request.headers,
                method="POST",
                raw_path="/",
                body=body,
                service="sts",
                region=self.region,
            )
        except Refused as refused:
            code = "ExpiredToken" if "Expired" in refused.code else "InvalidClientTokenId"
            return _refusal(403, code, str(refused))
        role = (await request.post())["RoleArn"]
        keys = self.keys.issue(seconds=self.sts_seconds or self.seconds)
        self.assumed.append((str(role), keys))
        text = _ASSUMED.format(
            key=keys.access_key,
            secret=keys.secret,
            token=keys.token,
            expires=_iso(keys.expires_at),
        )
        return web.Response(text=text, content_type="text/xml")


def _refusal(status: int, code: str, message: str) -> web.Response:
    text = _ERROR.format(code=code, message=message)
    return web.Response(status=status, text=text, content_type="text/xml")


def _iso(moment: datetime | None) -> str:
    assert moment is not None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
