"""Every route the service has, and how it names a user: what tests of access go through, new routes included."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.middleware.access_gate import _is_public
from dependency_injection import application
from infra.settings import Settings

OF_A_USER = "{userId}"
WITH_A_BODY: dict[str, list[dict[str, Any]]] = {
    "/v1/chat": [{"userPrompt": "hi", "userId": "bob"}],
    "/v1/chat/completions": [
        {"messages": [{"role": "user", "content": "hi"}], **named}
        for named in (
            {"user": "bob"},
            {"safety_identifier": "bob"},
            {"user": "ana", "safety_identifier": "bob", "userId": "bob"},
            {"metadata": {"user": "bob", "user_id": "bob", "userId": "bob"}},
        )
    ],
    "/v1/conversations": [
        {"metadata": {"a": "b"}, **named}
        for named in ({"user": "bob"}, {"safety_identifier": "bob"}, {"userId": "bob"})
    ],
    "/v1/responses": [
        {"input": "hi", **named}
        for named in (
            {"user": "bob"},
            {"safety_identifier": "bob"},
            {"user": "ana", "safety_identifier": "bob", "userId": "bob"},
            {"metadata": {"user": "bob", "user_id": "bob", "userId": "bob"}},
        )
    ],
    "/v1/messages": [
        {
            "model": "gem-healthy",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "hi"}],
            "metadata": {"user_id": "bob", "user": "bob", "userId": "bob"},
            "user": "bob",
        }
    ],
}
"""By route, bodies that name bob in every way the route, or any other program, knows."""
OF_A_CONVERSATION = "/v1/conversations/{conversationId}"
"""The id of a conversation contains its user, sealed; `test_openai_conversations.py` asks for those of others."""
OF_AN_ID = "{responseId}"
"""The id of a response contains its user, sealed; `test_responses_isolation.py` asks for those of others."""
OF_NOBODY = {
    "/v1/embeddings",
    "/v1/messages/count_tokens",
    "/v1/models",
    "/v1/models/{modelId:path}",
    "/v1/usage",
}
HIDDEN = {"/", "/console/{name}", "/docs", "/docs/assets", "/openapi.json"}
"""What the description leaves out: pages, and itself."""


@dataclass(frozen=True)
class Served:
    """A path and what it may be asked with."""

    path: str
    methods: frozenset[str]
    is_described: bool

    @property
    def is_public(self) -> bool:
        return _is_public(self.path) or self.path.startswith(("/health/", *HIDDEN))


@functools.cache
def served() -> tuple[Served, ...]:
    """Return the route table of the application as it is wired."""
    whole: Any = application(Settings(_env_file=None))
    while not isinstance(whole, FastAPI):
        whole = whole._app if hasattr(whole, "_app") else whole.app
    return tuple(
        Served(
            route.path or "/",
            frozenset(route.methods or {"GET"}),
            bool(getattr(route, "include_in_schema", False)),
        )
        for route in iter_route_contexts(whole.routes)
    )


def asked(path: str, user: str, interaction_id: str) -> str:
    """A path of a user as a client writes it."""
    filled = path.replace(OF_A_USER, user).replace("{interactionId:interaction}", interaction_id)
    filled = filled.replace("{attachmentId}", "A" * 43).replace("{conversationId}", "shared")
    assert "{" not in filled.replace(user, ""), f"say here what else to write into {path}"
    return filled


def calls_of_a_user() -> Iterator[tuple[str, str]]:
    """Every method and path that names a user."""
    for route in served():
        if OF_A_USER in route.path:
            yield from ((method, route.path) for method in sorted(route.methods))
