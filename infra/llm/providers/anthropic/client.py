"""Anthropic, and any server with its Messages API."""

from collections.abc import Callable
from functools import partial
from math import inf

import aiohttp

from domain.entities.reply import Usage
from infra.llm.providers.anthropic.answer import AnthropicReader
from infra.llm.providers.anthropic.request import DEFAULT_MAX_TOKENS, TOOL_NAMES, request_body
from infra.llm.transport.adaptable_request import RouteDialect
from infra.llm.transport.dialect import ANTHROPIC_ADAPTATIONS, Dialect
from infra.llm.transport.http_client import HttpClient
from infra.llm.transport.http_stream import Endpoint

_VERSION = "2023-06-01"
"""Of the API; the next one, 2026-10-21, takes neither temperature nor `top_p`."""


class AnthropicClient(HttpClient):
    """Calls one model.

    Args:
        session: From `provider_session`.
        provider: The provider's name in the catalogue.
        model: The model's id in the catalogue.
        upstream: Anthropic's name for the model.
        base_url: `/v1/messages` is appended.
        api_key: Sent in `x-api-key`; None sends no such header, for a local server.
        max_answer_bytes: Longer answers are cut.
        cost: Adds the cost to a usage.
        family: Models that accept the metadata in each other's answers.
        max_output_tokens: The model's limit, requested where the caller sets none; None where unknown.
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
        max_output_tokens: int | None = None,
        idle_seconds: float = inf,
    ) -> None:
        dialect = RouteDialect(
            Dialect(seeds=None, prefill_ends_in_space=False),
            ANTHROPIC_ADAPTATIONS,
            partial(
                request_body,
                model=upstream,
                family=family,
                max_tokens=max_output_tokens or DEFAULT_MAX_TOKENS,
            ),
            provider=provider,
            model=model,
        )
        headers = {"anthropic-version": _VERSION}
        if api_key:
            headers["x-api-key"] = api_key
        endpoint = Endpoint(
            session,
            provider=provider,
            model=model,
            url=f"{base_url.rstrip('/')}/v1/messages",
            headers=headers,
            max_answer_bytes=max_answer_bytes,
            cost=cost,
            idle_seconds=idle_seconds,
        )
        super().__init__(endpoint, dialect, partial(AnthropicReader, family), TOOL_NAMES)
