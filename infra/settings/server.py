"""Settings of the HTTP server."""

import re

from pydantic import Field, field_validator

from infra.settings.group import Count, PositiveSeconds, Seconds
from infra.settings.process import ProcessSettings

_ROOT_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*", re.ASCII)
_OWN_PATHS = [[name] for name in ("v1", "health", "docs", "console", "metrics", "openapi.json")]


class ServerSettings(ProcessSettings):
    """Limits of connections and requests, shutdown, and the pages that are served."""

    title = "HTTP server"

    workers: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Number of processes that serve on the same port, with MONGO_URI or DYNAMODB_TABLE; the embedded store allows only one.",
    )
    root_path: str = Field(
        default="",
        description="Path under which a proxy publishes this service, such as `/ai`, whether or not the proxy removes it.",
    )
    docs_enabled: bool = Field(default=True, description="Serves `/docs` and `/openapi.json`.")
    console_enabled: bool = Field(default=True, description="Serves the browser console at `/`.")
    max_connections: Count = Field(
        default=2000, description="Open connections; further ones get 503."
    )
    max_url_bytes: Count = Field(default=8 * 1024, description="A longer URL gets 414.")
    max_header_bytes: Count = Field(default=16 * 1024, description="Larger headers get 431.")
    max_body_bytes: Count = Field(
        default=32 * 1024 * 1024,
        description="A larger body gets 413. Bodies above 256 KiB are meant for attachments: with too many strings or other values they get 413 too.",
    )
    max_json_depth: Count = Field(
        default=64, description="A JSON body with deeper nesting gets 400."
    )
    responses_drop_unknown_tools: bool = Field(
        default=False,
        description="`POST /v1/responses` leaves out tools that are not functions instead of refusing them.",
    )
    header_receipt_seconds: PositiveSeconds = Field(
        default=10.0, description="Time for a request's headers to arrive; later it gets 408."
    )
    body_receipt_seconds: PositiveSeconds = Field(
        default=30.0, description="Time for a request's body to arrive; later it gets 408."
    )
    write_stall_seconds: PositiveSeconds = Field(
        default=30.0,
        description="A client that reads nothing of its response for this time is disconnected.",
    )
    keep_alive_seconds: PositiveSeconds = Field(
        default=320.0, description="Time after which an idle connection is closed."
    )
    unready_seconds: Seconds = Field(
        default=0.0,
        description="Time after SIGTERM in which requests are still accepted while `/health/ready` is 503, for load balancers to notice.",
    )
    shutdown_grace_seconds: Seconds = Field(
        default=25.0, description="Time after SIGTERM for requests in progress to finish."
    )

    @field_validator("root_path")
    @classmethod
    def _is_a_plain_path(cls, value: str) -> str:
        path = value.rstrip("/")
        if not _ROOT_PATH.fullmatch(path):
            raise ValueError("must be a path such as /ai, of letters, digits and . _ ~ -")
        if path.split("/")[1:2] in _OWN_PATHS:
            raise ValueError("must not begin like a path of the service itself")
        return path
