"""OpenAI, Azure OpenAI, OpenRouter, and any server with the Chat Completions API: Ollama, vLLM, llama.cpp."""

from collections.abc import Callable
from functools import partial
from math import inf

import aiohttp

from domain.entities.reply import Usage
from infra.llm.providers.openai.answer import OpenAIReader
from infra.llm.providers.openai.request import TOOL_NAMES, is_openai, limit_field, request_body
from infra.llm.transport.adaptable_request import RouteDialect
from infra.llm.transport.dialect import OPENAI_ADAPTATIONS, Dialect
from infra.llm.transport.http_client import HttpClient
from infra.llm.transport.http_stream import Endpoint


def default_dialect(base_url: str) -> Dialect:
    """Return the dialect expected of the server at `base_url`."""
    return Dialect(limit_field=limit_field(base_url), prompt_cache_key=is_openai(base_url))


class OpenAICompatibleClient(HttpClient):
    """Calls one model of such a server.

    Args:
        session: From `provider_session`.
        provider: The provider's name in the catalogue.
        model: The model's id in the catalogue.
        upstream: The server's name for the model.
        base_url: `/chat/completions` is appended.
        api_key: Sent as a bearer token; None sends no `Authorization`, for a local server.
        api_key_header: The header that contains only the key; None: sent as a bearer token.
        max_answer_bytes: Longer answers are cut.
        cost: Adds the cost to a usage, which may already hold the cost that the server reports.
        family: Models that accept the metadata in each other's answers.
        dialect: The initial dialect; None: the default of the base URL. Refusals of the server adapt it.
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
        api_key: str | None,
        max_answer_bytes: int,
        cost: Callable[[Usage], Usage],
        family: str = "",
        dialect: Dialect | None = None,
        api_key_header: str | None = None,
        idle_seconds: float = inf,
    ) -> None:
        route_dialect = RouteDialect(
            dialect or default_dialect(base_url),
            OPENAI_ADAPTATIONS,
            partial(request_body, model=upstream, family=family),
            provider=provider,
            model=model,
        )
        endpoint = Endpoint(
            session,
            provider=provider,
            model=model,
            url=f"{base_url.rstrip('/')}/chat/completions",
            headers=key_headers(api_key, api_key_header),
            max_answer_bytes=max_answer_bytes,
            cost=cost,
            idle_seconds=idle_seconds,
        )
        super().__init__(endpoint, route_dialect, partial(OpenAIReader, family), TOOL_NAMES)


def key_headers(api_key: str | None, header: str | None) -> dict[str, str]:
    """Return the headers that authorise a request with a key; none without one.

    Args:
        api_key: None or empty sends none.
        header: The header that contains only the key; None: sent as a bearer token.
    """
    if not api_key:
        return {}
    return {header: api_key} if header else {"Authorization": f"Bearer {api_key}"}
