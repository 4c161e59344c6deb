"""Embeddings of Gemini's Developer API."""

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

import aiohttp
import orjson

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.embeddings.embedding import EmbeddingInput, EmbeddingRequest, Embeddings
from domain.entities.reply import Usage, total_usage
from domain.interfaces.embedding_client import EmbeddingClient
from infra.llm.transport.errors.answer_errors import UnreadableAnswer
from infra.llm.transport.http_stream import Endpoint
from infra.llm.transport.vectors import MAX_ANSWER_BYTES, matching, usage_of_input, vector_of

_MOST_TEXTS = 100
"""Of one call; Google refuses more."""


class GeminiEmbeddings(EmbeddingClient):
    """Calls one embeddings model; more than a hundred texts are sent in several calls, one after another.

    Args:
        session: From `provider_session`.
        provider: The provider's name in the catalogue.
        model: The model's id in the catalogue.
        upstream: Google's name for the model.
        base_url: Scheme and host, to which the version and the path are appended.
        api_key: Sent in a header, never in the URL; None sends none.
        cost: Adds the cost to a usage.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        provider: str,
        model: str,
        upstream: str,
        base_url: str,
        api_key: str | None,
        cost: Callable[[Usage], Usage],
    ) -> None:
        name = quote(upstream, safe="/-._~:@")
        key = {"x-goog-api-key": api_key} if api_key else {}
        self._endpoint = Endpoint(
            session,
            provider=provider,
            model=model,
            url=f"{base_url.rstrip('/')}/v1beta/models/{name}:batchEmbedContents",
            headers={"Accept": "application/json", **key},
            max_answer_bytes=MAX_ANSWER_BYTES,
            cost=cost,
        )
        self._model = model
        self._upstream = upstream
        self._cost = cost

    async def embed(self, request: EmbeddingRequest, context: ChatRequestContext) -> Embeddings:
        parts = [
            await self._embed(replace(request, inputs=inputs), context)
            for inputs in _batches(request.inputs)
        ]
        vectors = [vector for part in parts for vector in part.vectors]
        return replace(
            parts[0], vectors=tuple(vectors), usage=total_usage(part.usage for part in parts)
        )

    async def _embed(self, request: EmbeddingRequest, context: ChatRequestContext) -> Embeddings:
        inputs, is_shortened = len(request.inputs), request.dimensions is not None

        def read(answer: dict[str, object]) -> Embeddings:
            vectors = _vectors(answer.get("embeddings"))
            return Embeddings(
                # shortened vectors are not normalised, but OpenAI's format promises a length of 1
                vectors=matching([_unit(v) for v in vectors] if is_shortened else vectors, inputs),
                model=self._model,
                usage=usage_of_input(_tokens(answer.get("usageMetadata")), self._cost),
            )

        return await self._endpoint.fetch(self._body(request), context, read)

    def _body(self, request: EmbeddingRequest) -> bytes:
        options = {} if request.dimensions is None else {"outputDimensionality": request.dimensions}
        return orjson.dumps(
            {
                "requests": [
                    {
                        "model": f"models/{self._upstream}",
                        "content": {"parts": [{"text": text}]},
                        **options,
                    }
                    for text in request.inputs
                ]
            }
        )


def _batches(inputs: tuple[EmbeddingInput, ...]) -> list[tuple[EmbeddingInput, ...]]:
    return [inputs[start : start + _MOST_TEXTS] for start in range(0, len(inputs), _MOST_TEXTS)]


def _vectors(embeddings: object) -> list[Sequence[float]]:
    if not isinstance(embeddings, list):
        raise UnreadableAnswer("no list of vectors")
    return [
        vector_of(each.get("values") if isinstance(each, dict) else None) for each in embeddings
    ]


def _unit(vector: Sequence[float]) -> Sequence[float]:
    """Return the normalised vector; one of length 0 unchanged."""
    length = math.hypot(*vector)
    return array("d", [number / length for number in vector]) if length else vector


def _tokens(counts: object) -> int | None:
    """Return the input tokens; None where they are not reported, as by most models."""
    if not isinstance(counts, Mapping):
        return None
    tokens = counts.get("promptTokenCount", counts.get("totalTokenCount"))
    return tokens if type(tokens) is int else None
