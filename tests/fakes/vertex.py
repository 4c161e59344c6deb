"""Vertex AI's part of Google's Gemini: other paths, access tokens instead of keys, and no ids of calls."""

from dataclasses import replace
from typing import Any

from tests.fakes.behaviour import Behaviour, Raw
from tests.fakes.gemini import FakeGemini, error
from tests.fakes.google_tokens import FakeTokenServer
from tests.fakes.http_provider import Seen

_PATH = "/v1/projects/project/locations/global/publishers/google"


class FakeVertex(FakeGemini):
    """Speaks `streamGenerateContent` to callers with a valid token of a token server."""

    def __init__(self, tokens: FakeTokenServer, *behaviours: Behaviour) -> None:
        super().__init__(*behaviours, api_key=None)
        self._tokens = tokens

    @property
    def base_url(self) -> str:
        return f"{self.origin}{_PATH}"

    def refusal_of(self, seen: Seen) -> Raw | None:
        if not seen.path.startswith(f"{_PATH}/models/"):
            return error(404)
        scheme, _, token = seen.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not self._tokens.is_valid(token):
            return error(401, message="Request had invalid authentication credentials.")
        if _has_call_ids(seen.body):
            return error(400, message='Unknown name "id" at function_call: Cannot find field.')
        return super().refusal_of(replace(seen, path=f"/v1{seen.path.removeprefix(_PATH)}"))


def _has_call_ids(body: Any) -> bool:
    return any(
        "id" in part.get(kind, {})
        for content in body["contents"]
        for part in content["parts"]
        for kind in ("functionCall", "functionResponse")
    )
