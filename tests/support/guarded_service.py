"""A service that requires credentials."""

from dataclasses import dataclass

import httpx2

from tests.fakes.issuer import Issuer
from tests.http.access import bearer
from tests.support.service import Service


@dataclass(frozen=True)
class Guarded:
    """A service that asks for credentials, and some."""

    service: Service
    issuer: Issuer
    backend_key: str
    ana_key: str

    def client(self, credentials: str | bytes | None = None) -> httpx2.Client:
        return self.service.client(headers={} if credentials is None else bearer(credentials))


def chat(client: httpx2.Client, user: str | None, **headers: str) -> httpx2.Response:
    body = {"userPrompt": "hi"} | ({} if user is None else {"userId": user})
    return client.post("/v1/chat", json=body, headers=headers)
