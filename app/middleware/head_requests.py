"""HEAD for every resource that has GET (RFC 9110, 9.3.2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _BodyNotNeeded(Exception):
    """Ends an application that continues to send its body; raised in its `send`."""


class HeadRequests:
    """Answers HEAD with the status and headers of GET, without a body.

    The application receives a GET. A body that is generated while it is sent, such as an export, is cancelled after its
    first part.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        inner = {**scope, "method": "GET"}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif message.get("more_body", False):
                raise _BodyNotNeeded

        try:
            await self._app(inner, receive, send_head)
        except _BodyNotNeeded:
            pass
        finally:
            if "route" in inner:
                scope["route"] = inner["route"]  # the access log and the metrics read it
