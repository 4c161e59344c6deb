"""The HTTP application: routes, middleware and OpenAPI description."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.types import ASGIApp

from app.controllers import (
    attachment_controller,
    background_controller,
    chat_controller,
    console_controller,
    conversations_controller,
    docs_controller,
    embeddings_controller,
    export_controller,
    health_controller,
    history_controller,
    messages_controller,
    metrics_controller,
    models_controller,
    openai_controller,
    responses_controller,
    statistics_controller,
    usage_controller,
)
from app.log_lines.fields import ProviderName
from app.middleware.access_gate import AccessGate, GateRules
from app.middleware.caller_limits import CallerLimits
from app.middleware.chat_routing import ChatRouting
from app.middleware.cross_origin import CrossOrigin
from app.middleware.head_requests import HeadRequests
from app.middleware.request_scope import RequestScope
from app.middleware.root_path import RootPath
from app.openapi_schema import customize_openapi
from app.problems import error_handlers as errors
from app.process.lifecycle import Lifecycle
from app.requests.chat_route import ChatRoute
from app.requests.large_bodies import LARGE_FROM_BYTES, LargeBodies
from app.services.container import Container
from domain.interfaces.credentials import Authenticator
from domain.interfaces.rate_limiter import RateLimiter
from domain.interfaces.telemetry import RequestObserver, RequestTracer

OpenContainer = Callable[[], AbstractAsyncContextManager[Container]]
"""Opens the adapters, yields the container, and closes them in the end."""

_EXPOSED_HEADERS = [
    "Location",
    "X-Request-Id",
    "request-id",
    "X-Interaction-Id",
    "X-History-Lag-Seconds",
    "Content-Disposition",
    "Idempotency-Replayed",
    "Server-Timing",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "WWW-Authenticate",
]
_DESCRIPTION = """
Call language models over HTTP and store every interaction. When a chat is answered with 200, it is in the user's
history: it survives a crash of this service and of its database.

Errors are `application/problem+json` (RFC 9457).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of request bodies.

    Attributes:
        body_bytes: Size of one body of a chat, in any format.
        small_body_bytes: Size of one body of another request.
        json_depth: Nesting of its JSON.
        large_bodies: Counts the large bodies at one time.
    """

    body_bytes: int = 32 * 1024 * 1024
    small_body_bytes: int = LARGE_FROM_BYTES
    json_depth: int = 64
    large_bodies: LargeBodies = field(default_factory=LargeBodies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the HTTP application.

    Attributes:
        provider_name: Returns the name of a provider of the catalogue for the log.
        cors_origins: Origins whose pages may send requests; the service uses no cookies, so credentials are not allowed.
        metrics_enabled: Serve `/metrics`; False if it is served on a separate port.
        caller_requests_per_minute: Limit shown in the rate limit headers.
        root_path: Path prefix under which a proxy publishes the service, without a trailing slash.
    """

    version: str
    provider_name: ProviderName = str
    gate: GateRules
    cors_origins: tuple[str, ...] = ()
    docs_enabled: bool = True
    console_enabled: bool = True
    metrics_enabled: bool = True
    caller_requests_per_minute: int = 600
    root_path: str = ""
    limits: Limits = field(default_factory=Limits)


def create_app(
    options: Options, open_container: OpenContainer, lifecycle: Lifecycle | None = None
) -> ASGIApp:
    """Return the application; its lifespan enters `open_container`."""
    # A variable, since it is read several times per request and a look-up in `app.state` takes a microsecond.
    container: Container | None = None

    def authenticator() -> Authenticator | None:
        return None if container is None else container.authenticator

    def caller_limits() -> RateLimiter | None:
        return None if container is None else container.caller_limits

    def credential_limits() -> RateLimiter | None:
        return None if container is None else container.credential_limits

    def observer() -> RequestObserver | None:
        return None if container is None else container.requests

    def tracer() -> RequestTracer | None:
        return None if container is None else container.tracer

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        nonlocal container
        async with open_container() as container:
            app.state.container = container
            app.state.lifecycle.on_stopping.append(container.background.answers.give_up)
            yield

    app = FastAPI(
        title="RT GenAI Platform",
        version=options.version,
        description=_DESCRIPTION,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.limits = options.limits
    app.state.container = None
    app.state.lifecycle = lifecycle or Lifecycle()
    errors.install(app)
    for controller in (
        chat_controller,
        openai_controller,
        embeddings_controller,
        history_controller,
        background_controller,
        export_controller,
        attachment_controller,
        statistics_controller,
        usage_controller,
        models_controller,
        health_controller,
    ):
        app.include_router(controller.router)
    app.include_router(messages_controller.router)
    app.include_router(responses_controller.chat_router)
    app.include_router(responses_controller.router)
    app.include_router(conversations_controller.body_router)
    app.include_router(conversations_controller.router)
    app.include_router(history_controller.body_router)
    if options.metrics_enabled:
        app.include_router(metrics_controller.router)
    if options.console_enabled:
        console_controller.install(app)
    if options.docs_enabled:
        docs_controller.install(app)
        customize_openapi(app, needs_credentials=options.gate.needs_credentials)

    # Around the application instead of in FastAPI's middleware stack, so that they apply to ChatRouting too.
    guarded: ASGIApp = ChatRouting(app, _chat_routes())
    if options.gate.any_client:  # otherwise all callers are on this machine and have no limits
        guarded = CallerLimits(
            guarded, caller_limits, requests_per_minute=options.caller_requests_per_minute
        )
    guarded = AccessGate(guarded, options.gate, errors.problem_of, authenticator, credential_limits)
    if options.cors_origins:
        guarded = CrossOrigin(
            guarded,
            allow_origins=options.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=_EXPOSED_HEADERS,
        )
    guarded = HeadRequests(guarded)
    guarded = RequestScope(guarded, observer, tracer, options.provider_name)
    proxies = options.gate.proxies
    if options.root_path or proxies.networks:
        guarded = RootPath(guarded, options.root_path, proxies)
    return guarded


def _chat_routes() -> Iterator[ChatRoute]:
    for router in (
        chat_controller.router,
        openai_controller.router,
        embeddings_controller.router,
        responses_controller.chat_router,
        messages_controller.router,
    ):
        for route in router.routes:
            if isinstance(route, ChatRoute):
                yield route
