"""The table of all problems (RFC 9457): slugs, statuses and texts."""

import re
from dataclasses import dataclass
from typing import Any

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemKind:
    """A kind of problem; one row of the table.

    Attributes:
        slug: Identifier; `type` is `/problems/<slug>`.
        detail: Fixed text; contains no text of the request or a provider.
        retryable: Whether the same request may succeed later.
        retry_after_seconds: Default for `Retry-After`; None omits the header.
    """

    slug: str
    status: int
    title: str
    detail: str
    retryable: bool = False
    retry_after_seconds: int | None = None


def _register(
    slug: str,
    status: int,
    title: str,
    detail: str,
    *,
    retryable: bool = False,
    retry_after_seconds: int | None = None,
) -> ProblemKind:
    kind = ProblemKind(
        slug=slug,
        status=status,
        title=title,
        detail=detail,
        retryable=retryable,
        retry_after_seconds=retry_after_seconds,
    )
    PROBLEMS.append(kind)
    return kind


PROBLEMS: list[ProblemKind] = []

MALFORMED_REQUEST = _register(
    "malformed-request",
    400,
    "Malformed request",
    "The bytes received are not a valid HTTP request.",
)
MALFORMED_BODY = _register(
    "malformed-body",
    400,
    "Malformed body",
    "The body is not valid JSON in UTF-8, repeats a key, is nested too deeply, or does not match its Content-Encoding.",
)
PREVIOUS_RESPONSE_NOT_FOUND = _register(
    "previous-response-not-found",
    404,
    "Previous response not found",
    "This user has no response with the id in previous_response_id.",
)
ITEM_NOT_FOUND = _register(
    "item-not-found",
    404,
    "Item not found",
    "This user has no item with an id that the input refers to; see errors.",
)
UNSUPPORTED_PARAMETER = _register(
    "unsupported-parameter",
    400,
    "Unsupported parameter",
    "The request uses a parameter that this service does not support.",
)
INVALID_CURSOR = _register(
    "invalid-cursor",
    400,
    "Invalid cursor",
    "The cursor is invalid, or belongs to another user, filter or order. Start again without it.",
)
UNAUTHENTICATED = _register(
    "unauthenticated",
    401,
    "Not authenticated",
    "Send a valid key or token in the Authorization header.",
)
FORBIDDEN_USER = _register(
    "forbidden", 403, "Forbidden", "These credentials are not valid for this user."
)
FORBIDDEN_SCOPE = _register(
    "forbidden", 403, "Forbidden", "These credentials lack the required scope."
)
FORBIDDEN_CLIENT = _register(
    "forbidden",
    403,
    "Forbidden",
    "Without authentication, only clients on this machine have access. Set AUTHENTICATION, or ALLOW_ANONYMOUS=true to allow all clients.",
)
FORBIDDEN_PROXY = _register(
    "forbidden",
    403,
    "Forbidden",
    "The request came through a proxy that is not trusted to name the client. Set TRUSTED_PROXIES to the proxy's address, and AUTHENTICATION, or ALLOW_ANONYMOUS=true to allow all clients.",
)
FORBIDDEN_HOST = _register(
    "forbidden",
    403,
    "Forbidden",
    "The host in the Host header is not allowed. Add it to ALLOWED_HOSTS.",
)
NOT_FOUND = _register("not-found", 404, "Not found", "The resource does not exist.")
METHOD_NOT_ALLOWED = _register(
    "method-not-allowed", 405, "Method not allowed", "The resource does not support this method."
)
REQUEST_TIMEOUT = _register(
    "request-timeout",
    408,
    "Request timeout",
    "The request was not received in time.",
    retryable=True,
)
IDEMPOTENCY_IN_PROGRESS = _register(
    "idempotency-in-progress",
    409,
    "Still in progress",
    "A request with this Idempotency-Key is still running.",
    retryable=True,
    retry_after_seconds=1,
)
BODY_TOO_LARGE = _register(
    "body-too-large", 413, "Body too large", "The body exceeds the size limit of this service."
)
URI_TOO_LONG = _register(
    "uri-too-long", 414, "URI too long", "The URI exceeds the length limit of this service."
)
UNSUPPORTED_MEDIA_TYPE = _register(
    "unsupported-media-type",
    415,
    "Unsupported media type",
    "Send the body as application/json in UTF-8.",
)
UNSUPPORTED_CONTENT_ENCODING = _register(
    "unsupported-content-encoding",
    415,
    "Unsupported content encoding",
    "Send the body without Content-Encoding, or with one of those in Accept-Encoding.",
)
INVALID_REQUEST = _register(
    "invalid-request",
    422,
    "Invalid request",
    "The request has invalid fields; see errors.",
)
NO_SUCH_OPEN_CALL = _register(
    "invalid-request",
    422,
    "Invalid request",
    "Tool results name calls that do not exist or are answered already; see errors for their ids.",
)
UNKNOWN_MODEL = _register(
    "unknown-model",
    422,
    "Unknown model",
    "The model is not available; see errors for the available models.",
)
UNSUPPORTED_BY_MODEL = _register(
    "unsupported-by-model",
    422,
    "Unsupported by the model",
    "The model lacks a capability that the request needs; see errors for models that have it.",
)
TOOL_RESULTS_MISSING = _register(
    "tool-results-missing",
    422,
    "Tool results missing",
    "Not all open tool calls are answered; see errors for the ids of the others.",
)
INVALID_ATTACHMENT = _register(
    "invalid-attachment",
    422,
    "Invalid attachment",
    "An attachment is unknown, too large, or of another type than stated; see errors.",
)
IDEMPOTENCY_MISMATCH = _register(
    "idempotency-mismatch",
    422,
    "Idempotency key reused",
    "This Idempotency-Key was used with another request.",
)
CONTENT_BLOCKED = _register(
    "content-blocked", 422, "Content blocked", "A safety filter blocked the prompt or the answer."
)
CONTEXT_TOO_LONG = _register(
    "context-too-long", 422, "Context too long", "The prompt exceeds the model's context window."
)
PROVIDER_REJECTED = _register(
    "provider-rejected", 422, "Rejected by the provider", "The provider rejected the request."
)
RATE_LIMITED = _register(
    "rate-limited",
    429,
    "Too many requests",
    "The caller's limit of requests, concurrency, tokens or failed authentications is exhausted.",
    retryable=True,
    retry_after_seconds=1,
)
HEADERS_TOO_LARGE = _register(
    "headers-too-large",
    431,
    "Headers too large",
    "The headers exceed the size limit of this service.",
)
INTERNAL = _register(
    "internal", 500, "Internal error", "An unexpected error occurred in this service."
)
PROVIDERS_FAILED = _register(
    "providers-failed",
    502,
    "Providers failed",
    "No provider could answer.",
    retryable=True,
    retry_after_seconds=2,
)
OVERLOADED = _register(
    "overloaded",
    503,
    "Overloaded",
    "The service is at capacity.",
    retryable=True,
    retry_after_seconds=1,
)
PROVIDERS_UNAVAILABLE = _register(
    "providers-unavailable",
    503,
    "Providers unavailable",
    "Every suitable provider is suspended after failures.",
    retryable=True,
    retry_after_seconds=10,
)
PROVIDER_MISCONFIGURED = _register(
    "provider-misconfigured",
    503,
    "Provider misconfigured",
    "The provider rejects the configuration of this service.",
    retryable=True,
    retry_after_seconds=60,
)
HISTORY_UNAVAILABLE = _register(
    "history-unavailable",
    503,
    "History unavailable",
    "History cannot be stored right now, so no model was called.",
    retryable=True,
    retry_after_seconds=5,
)
HISTORY_NOT_DURABLE = _register(
    "history-not-durable",
    503,
    "History not durable",
    "The model answered, but the answer could not be stored.",
    retryable=True,
    retry_after_seconds=1,
)
HISTORY_STORE_UNAVAILABLE = _register(
    "history-store-unavailable",
    503,
    "History store unavailable",
    "History cannot be read or changed right now.",
    retryable=True,
    retry_after_seconds=5,
)
AUTH_UNAVAILABLE = _register(
    "auth-unavailable",
    503,
    "Authentication unavailable",
    "Credentials cannot be checked right now.",
    retryable=True,
    retry_after_seconds=5,
)
IDEMPOTENCY_UNAVAILABLE = _register(
    "idempotency-unavailable",
    503,
    "Idempotency unavailable",
    "Idempotency keys cannot be stored right now.",
    retryable=True,
    retry_after_seconds=5,
)
PROVIDER_TIMEOUT = _register(
    "provider-timeout",
    504,
    "Provider timeout",
    "No provider answered in time.",
    retryable=True,
)


def problem_body(kind: ProblemKind, request_id: str, **members: Any) -> dict[str, Any]:
    """Return the problem object.

    Args:
        kind: Kind of problem.
        request_id: Id of the request; if it is a UUID, the problem gets an `instance` made from it.
        members: Additional members, such as `attempts` and `errors`.
    """
    instance = {"instance": f"urn:uuid:{request_id}"} if _UUID.fullmatch(request_id) else {}
    return {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail,
        **instance,
        "requestId": request_id,
        "retryable": kind.retryable,
        **members,
    }
