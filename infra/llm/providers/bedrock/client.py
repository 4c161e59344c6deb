"""Amazon Bedrock over its REST API, for every model of its Converse API."""

from collections.abc import Callable
from functools import partial
from math import inf
from urllib.parse import quote

import aiohttp

from domain.entities.reply import Usage
from infra.llm.providers.bedrock.answer import BedrockReader
from infra.llm.providers.bedrock.cache_points import knows_cache_points
from infra.llm.providers.bedrock.identity import Guardrail
from infra.llm.providers.bedrock.names import TOOL_NAMES
from infra.llm.providers.bedrock.request import request_body
from infra.llm.transport.adaptable_request import RouteDialect
from infra.llm.transport.authorization import Authorization
from infra.llm.transport.dialect import BEDROCK_ADAPTATIONS, Dialect
from infra.llm.transport.http_client import HttpClient
from infra.llm.transport.http_stream import Endpoint


class BedrockClient(HttpClient):
    """Calls one model.

    Args:
        session: From `provider_session`.
        provider: The provider's name in the catalogue.
        model: The model's id in the catalogue.
        upstream: Id of the model or of its inference profile, or an ARN.
        base_url: Scheme and host; the path is appended.
        authorization: Signs the requests; None where a key authorises them.
        api_key: A key of Bedrock, sent as a bearer token; None: the requests are signed.
        max_answer_bytes: Longer answers are cut.
        cost: Adds the cost to a usage.
        family: Models that accept the metadata in each other's answers.
        max_output_tokens: The model's limit; None where unknown.
        cache_points: Whether the model accepts points of the prompt cache; None: as known by its id.
        guardrail: Checks requests and answers; None: without one.
        idle_seconds: The limit on silence within an answer, enforced by `Deadline`.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        provider: str,
        model: str,
        upstream: str,
        base_url: str,
        authorization: Authorization | None = None,
        api_key: str | None = None,
        max_answer_bytes: int,
        cost: Callable[[Usage], Usage],
        family: str = "",
        max_output_tokens: int | None = None,
        cache_points: bool | None = None,
        guardrail: Guardrail | None = None,
        idle_seconds: float = inf,
    ) -> None:
        dialect = RouteDialect(
            Dialect(
                seeds=None,
                prefill_ends_in_space=False,
                cache_points=knows_cache_points(upstream) if cache_points is None else cache_points,
            ),
            BEDROCK_ADAPTATIONS,
            partial(
                request_body,
                upstream=upstream,
                family=family,
                max_tokens=max_output_tokens,
                guardrail=guardrail,
            ),
            provider=provider,
            model=model,
        )
        headers = {"Accept": "application/vnd.amazon.eventstream, application/json"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        url = f"{base_url.rstrip('/')}/model/{quote(upstream, safe='')}"
        endpoint = Endpoint(
            session,
            provider=provider,
            model=model,
            url=f"{url}/converse-stream",
            whole_url=f"{url}/converse",
            headers=headers,
            max_answer_bytes=max_answer_bytes,
            cost=cost,
            idle_seconds=idle_seconds,
            authorization=None if api_key else authorization,
        )
        super().__init__(endpoint, dialect, partial(BedrockReader, family), TOOL_NAMES)
