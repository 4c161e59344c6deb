"""The embeddings APIs of OpenAI and Google, which check requests, and vectors that depend on the input alone."""

import asyncio
import base64
import struct
from collections import deque
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.embeddings.embedding import EmbeddingRequest, Embeddings
from domain.interfaces.embedding_client import EmbeddingClient
from tests.fakes import gemini, openai
from tests.fakes.behaviour import Behaviour, Breaks, Cut, Hangs, Raw, Refuses, Says
from tests.fakes.http_provider import FakeProvider, Seen

DIMENSIONS = 4
TOKENS = 5
"""Of each input, as the fakes count."""


def vector_for(each: str | Sequence[int], dimensions: int = DIMENSIONS) -> list[float]:
    """Return the vector of one input; its numbers fit into 32 bits."""
    digest = sha256(repr(list(each)).encode()).digest()
    return [digest[number % len(digest)] / 256 + number for number in range(dimensions)]


class FakeOpenAIEmbeddings(FakeProvider):
    """Speaks `/embeddings` under `/api/v1`, and refuses what OpenAI would refuse.

    Attributes:
        is_reversed: The vectors come last first, with their indexes.
    """

    is_reversed = False

    @property
    def base_url(self) -> str:
        return f"{self.origin}/api/v1"

    def refusal_of(self, seen: Seen) -> Raw | None:
        if seen.path != "/api/v1/embeddings":
            return openai.error(404)
        if seen.headers.get("Authorization") != (self.api_key and f"Bearer {self.api_key}"):
            return openai.error(401)
        body = seen.body
        is_known = set(body) <= {"model", "input", "encoding_format", "dimensions", "user"}
        inputs = body.get("input")
        if not is_known or not isinstance(body.get("model"), str) or not inputs:
            return openai.error(400)
        if not isinstance(inputs, list) or len(inputs) > 2048 or not all(inputs):
            return openai.error(400)
        return None

    def render(self, behaviour: Behaviour, seen: Seen) -> Raw:
        match behaviour:
            case Raw():
                return behaviour
            case Refuses():
                return openai.refuse(behaviour)
            case Breaks():
                return Raw([Cut()])
            case Hangs():
                return Raw([asyncio.Event()])
        return openai.whole(self._answer(seen.body))

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        dimensions = body.get("dimensions", DIMENSIONS)
        data: list[dict[str, Any]] = []
        for index, each in enumerate(body["input"]):
            embedding: object = vector_for(each, dimensions)
            if body.get("encoding_format") == "base64":
                packed = struct.pack(f"<{dimensions}f", *vector_for(each, dimensions))
                embedding = base64.b64encode(packed).decode()
            data.append({"object": "embedding", "index": index, "embedding": embedding})
        if self.is_reversed:
            data.reverse()
        tokens = TOKENS * len(body["input"])
        return {
            "object": "list",
            "data": data,
            "model": body["model"],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    def _default(self, seen: Seen) -> Behaviour:
        return Says([])


class FakeGeminiEmbeddings(FakeProvider):
    """Speaks `batchEmbedContents`, and refuses what Google would refuse.

    Attributes:
        reports_tokens: Answers have token counts, as those of the newest models.
    """

    reports_tokens = False

    def refusal_of(self, seen: Seen) -> Raw | None:
        head, _, verb = seen.path.partition(":")
        if not head.startswith("/v1beta/models/") or verb != "batchEmbedContents":
            return gemini.error(404)
        if seen.headers.get("x-goog-api-key") != self.api_key:
            return gemini.bad_key()
        requests = seen.body.get("requests")
        name = head.removeprefix("/v1beta/")
        if not requests or len(requests) > 100 or set(seen.body) != {"requests"}:
            return gemini.error(400)
        for each in requests:
            if each["model"] != name or not each["content"]["parts"][0]["text"]:
                return gemini.error(400)
            if not set(each) <= {"model", "content", "outputDimensionality"}:
                return gemini.error(400)
        return None

    def render(self, behaviour: Behaviour, seen: Seen) -> Raw:
        match behaviour:
            case Raw():
                return behaviour
            case Refuses():
                return gemini.refuse(behaviour)
            case Breaks():
                return Raw([Cut()])
            case Hangs():
                return Raw([asyncio.Event()])
        embeddings = [
            {
                "values": vector_for(
                    each["content"]["parts"][0]["text"],
                    each.get("outputDimensionality", DIMENSIONS),
                )
            }
            for each in seen.body["requests"]
        ]
        counts = {"usageMetadata": {"promptTokenCount": TOKENS * len(embeddings)}}
        return gemini.whole({"embeddings": embeddings, **(counts if self.reports_tokens else {})})

    def _default(self, seen: Seen) -> Behaviour:
        return Says([])


class SteppingEmbeddings(EmbeddingClient):
    """Raises the given errors first, one a call, then answers; keeps the requests."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = deque(errors)
        self.asked: list[EmbeddingRequest] = []

    async def embed(self, request: EmbeddingRequest, context: ChatRequestContext) -> Embeddings:
        self.asked.append(request)
        if self.errors:
            raise self.errors.popleft()
        vectors = [vector_for(each, request.dimensions or DIMENSIONS) for each in request.inputs]
        return Embeddings(vectors=tuple(vectors), model=context.model)
