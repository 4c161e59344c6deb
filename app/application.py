"""The HTTP application: routes, middleware, and a description of both."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.types import ASGIApp

from app.controllers import (
    chat_controller,
    console_controller,
    docs_controller,
    health_controller,
    history_controller,
    metrics_controller,
    models_controller,
    openai_controller,
)
from app.controllers import export_controller as history_export_controller
from app.controllers import statistics_controller as history_figures_controller
from app.middleware.access_gate import Gate, GateRules
from app.middleware.access_log import ProviderName
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
from app.services.container import Container
from domain.interfaces.credentials import Authenticator
from domain.interfaces.rate_limiter import RateLimiter
from domain.interfaces.telemetry import RequestObserver, RequestTracer

Running = Callable[[], AbstractAsyncContextManager[Container]]

_EXPOSED_HEADERS = [
    "X-Request-Id",
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
Ask a language model over HTTP and keep every interaction. When a chat is answered with 200, it is in the user's
history: it survives a crash of this service and of its database.

Errors are `application/problem+json` (RFC 9457).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request may be at the most."""

    body_bytes: int = 256 * 1024
    json_depth: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the application shows itself.

    Attributes:
        provider_name: Tells what the log calls a provider of the catalogue.
        cors_origins: Origins whose pages may call; cookies are never involved, so credentials are not allowed.
        metrics_enabled: `/metrics` is served here; False where it has a port of its own.
        caller_requests_per_minute: What callers are told of their limit.
        root_path: The path under which a proxy shows the service, without a slash at its end.
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


def create_app(options: Options, running: Running, lifecycle: Lifecycle | None = None) -> ASGIApp:
    """Return the application; `running` opens what it needs when the server starts it."""
    # Asked for several times a request: looked up in `app.state` it would take a microsecond each time.
    opened: Container | None = None

    def authenticator() -> Authenticator | None:
        return None if opened is None else opened.authenticator

    def caller_limits() -> RateLimiter | None:
        return None if opened is None else opened.caller_limits

    def observer() -> RequestObserver | None:
        return None if opened is None else opened.requests

    def tracer() -> RequestTracer | None:
        return None if opened is None else opened.tracer

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        nonlocal opened
        async with running() as opened:
            app.state.container = opened
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
        history_controller,
        history_export_controller,
        history_figures_controller,
        models_controller,
        health_controller,
    ):
        app.include_router(controller.router)
    if options.metrics_enabled:
        app.include_router(metrics_controller.router)
    if options.console_enabled:
        console_controller.install(app)
    if options.docs_enabled:
        docs_controller.install(app)
        customize_openapi(app, needs_credentials=options.gate.needs_credentials)

    # Around the application rather than in FastAPI's own stack, so that ChatRouting is behind them too.
    guarded: ASGIApp = ChatRouting(app, _chat_routes())
    if options.gate.any_client:  # else all callers are on this machine, and without limits
        guarded = CallerLimits(
            guarded, caller_limits, requests_per_minute=options.caller_requests_per_minute
        )
    guarded = Gate(guarded, options.gate, errors.problem_of, authenticator, caller_limits)
    if options.cors_origins:
        guarded = CrossOrigin(
            guarded,
            allow_origins=options.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
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
    for controller in (chat_controller, openai_controller):
        for route in controller.router.routes:
            if isinstance(route, ChatRoute):
                yield route
