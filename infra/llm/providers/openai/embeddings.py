"""Embeddings of OpenAI, Azure OpenAI, OpenRouter, and any server with the same API."""

from collections.abc import Callable, Sequence

import aiohttp
import orjson

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.embeddings.embedding import EmbeddingRequest, Embeddings
from domain.entities.reply import Usage
from domain.interfaces.embedding_client import EmbeddingClient
from infra.llm.providers.openai.answer import usage_of
from infra.llm.providers.openai.client import key_headers
from infra.llm.providers.openai.request import is_openai
from infra.llm.transport.errors.answer_errors import UnreadableAnswer
from infra.llm.transport.http_stream import Endpoint
from infra.llm.transport.vectors import MAX_ANSWER_BYTES, matching, usage_of_input, vector_of


class OpenAIEmbeddings(EmbeddingClient):
    """Calls one embeddings model of such a server.

    Args:
        session: From `provider_session`.
        provider: The provider's name in the catalogue.
        model: The model's id in the catalogue.
        upstream: The server's name for the model.
        base_url: `/embeddings` is appended.
        api_key: Sent as a bearer token; None sends no `Authorization`, for a local server.
        api_key_header: The header that contains only the key; None: sent as a bearer token.
        cost: Adds the cost to a usage, which may already hold the cost that the server reports.
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
        api_key_header: str | None,
        cost: Callable[[Usage], Usage],
    ) -> None:
        self._endpoint = Endpoint(
            session,
            provider=provider,
            model=model,
            url=f"{base_url.rstrip('/')}/embeddings",
            headers={"Accept": "application/json", **key_headers(api_key, api_key_header)},
            max_answer_bytes=MAX_ANSWER_BYTES,
            cost=cost,
        )
        self._model = model
        self._upstream = upstream
        self._cost = cost
        self._knows_base64 = is_openai(base_url)

    async def embed(self, request: EmbeddingRequest, context: ChatRequestContext) -> Embeddings:
        inputs = len(request.inputs)

        def read(answer: dict[str, object]) -> Embeddings:
            counts = usage_of(answer.get("usage"))
            tokens = counts.total_tokens if counts.input_tokens is None else counts.input_tokens
            return Embeddings(
                vectors=matching(_in_order(answer.get("data")), inputs),
                model=self._model,
                usage=usage_of_input(tokens, self._cost, reported_usd=counts.cost_usd),
            )

        return await self._endpoint.fetch(self._body(request), context, read)

    def _body(self, request: EmbeddingRequest) -> bytes:
        # not all other servers support base64
        has_base64 = request.takes_single_precision and self._knows_base64
        body: dict[str, object] = {
            "model": self._upstream,
            "input": request.inputs,
            "encoding_format": "base64" if has_base64 else "float",
        }
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        return orjson.dumps(body)


def _in_order(data: object) -> list[Sequence[float]]:
    """Return the vectors in the order of their `index`; one without an index has its place in the list.

    Raises:
        UnreadableAnswer: The indexes are not those of a list.
    """
    if not isinstance(data, list):
        raise UnreadableAnswer("no list of vectors")
    vectors: dict[int, Sequence[float]] = {}
    for position, item in enumerate(data):
        if not isinstance(item, dict):
            raise UnreadableAnswer("an element that is not an object")
        index = item.get("index", position)
        if type(index) is not int:
            raise UnreadableAnswer("an index that is not a number")
        vectors[index] = vector_of(item.get("embedding"))
    try:
        return [vectors[position] for position in range(len(data))]
    except KeyError as exc:
        raise UnreadableAnswer("an index twice, or too large") from exc
