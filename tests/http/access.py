"""Services that ask who calls, and credentials for them."""

import http.client
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from domain.entities.caller import USER_SCOPES, Scope
from infra.clock import SystemClock
from infra.security.api_keys.repository import FileApiKeyRepository
from tests.fakes.issuer import AUDIENCE, ISSUER, Issuer


def make_key(
    data_dir: Path,
    *,
    user: str | None = None,
    scopes: Iterable[Scope] = USER_SCOPES,
    expires_milliseconds: int | None = None,
) -> tuple[str, str]:
    """Make a key as the command line does; return its id and the key."""
    book = FileApiKeyRepository(data_dir, SystemClock())
    made = book.create(
        name="",
        user_id=user,
        scopes=frozenset(scopes),
        expires_milliseconds=expires_milliseconds,
    )
    book.add(made.record)
    return made.record.id, made.key


def bearer(credentials: str | bytes) -> dict[str, str]:
    text = credentials.decode() if isinstance(credentials, bytes) else credentials
    return {"Authorization": f"Bearer {text}"}


def jwt_settings(issuer: Issuer) -> dict[str, str]:
    return {
        "AUTHENTICATION": "api_keys,jwt",
        "JWT_ISSUER": ISSUER,
        "JWT_AUDIENCE": AUDIENCE,
        "JWKS_URL": issuer.url,
    }


@dataclass(frozen=True)
class Raw:
    """An answer to a request that was sent exactly as written."""

    status: int
    headers: dict[str, str]
    text: str


def send_raw(
    port: int, method: str, target: str, headers: dict[str, str], body: bytes | None = None
) -> Raw:
    """Send a request whose target no client library has tidied up."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        return Raw(answer.status, {k.lower(): v for k, v in answer.getheaders()}, text)
    finally:
        connection.close()


def without_request_id(response: httpx2.Response) -> dict[str, Any]:
    """A problem's body without what differs from request to request."""
    body: dict[str, Any] = response.json()
    return {name: value for name, value in body.items() if name not in ("requestId", "instance")}
