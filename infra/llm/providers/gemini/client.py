"""Google's Gemini over the REST APIs of its Developer API and of Vertex AI."""

from collections.abc import Callable
from functools import partial
from math import inf
from urllib.parse import quote

import aiohttp

from domain.entities.reply import Usage
from infra.llm.providers.gemini.answer import GeminiReader
from infra.llm.providers.gemini.request import TOOL_NAMES, request_body
from infra.llm.transport.adaptable_request import RouteDialect
from infra.llm.transport.authorization import Authorization
from infra.llm.transport.dialect import GEMINI_ADAPTATIONS, INT32, Dialect
from infra.llm.transport.http_client import HttpClient
from infra.llm.transport.http_stream import Endpoint


class GeminiClient(HttpClient):
    """Calls one Gemini model.

    Args:
        session: From `provider_session`.
        provider: The provider's name in the catalogue.
        model: The model's id in the catalogue.
        upstream: Google's name for the model.
        base_url: Scheme and host of the Developer API, to which the version and the path are appended; of Vertex AI
            everything up to `/publishers/google`.
        api_key: Sent in a header, never in the URL; None sends none.
        max_answer_bytes: Longer answers are cut.
        cost: Adds the cost to a usage.
        family: Models that accept the metadata in each other's answers.
        idle_seconds: The limit on silence within an answer, enforced by `Deadline`.
        authorization: Supplies the access tokens of Vertex AI; None calls the Developer API.
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
        max_answer_bytes: int,
        cost: Callable[[Usage], Usage],
        family: str = "",
        idle_seconds: float = inf,
        authorization: Authorization | None = None,
    ) -> None:
        is_vertex = authorization is not None
        dialect = RouteDialect(
            Dialect(seeds=INT32),
            GEMINI_ADAPTATIONS,
            partial(request_body, upstream=upstream, family=family, has_call_ids=not is_vertex),
            provider=provider,
            model=model,
        )
        name = quote(upstream, safe="/-._~:@")
        version = "" if is_vertex else "/v1beta"
        endpoint = Endpoint(
            session,
            provider=provider,
            model=model,
            url=f"{base_url.rstrip('/')}{version}/models/{name}:streamGenerateContent?alt=sse",
            headers={"x-goog-api-key": api_key} if api_key else {},
            max_answer_bytes=max_answer_bytes,
            cost=cost,
            idle_seconds=idle_seconds,
            authorization=authorization,
        )
        super().__init__(endpoint, dialect, partial(GeminiReader, family), TOOL_NAMES)
