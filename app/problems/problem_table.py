"""Every problem a caller may be shown: the one table of slugs, statuses and texts (RFC 9457)."""

import re
from dataclasses import dataclass
from typing import Any

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemKind:
    """One row of the table.

    Attributes:
        slug: Names it in `type`, as `/problems/<slug>`.
        detail: Fixed text; never anything of the caller's or a provider's.
        retryable: The same request may succeed later without being changed.
        retry_after_seconds: When, if nothing more exact is known; None sends no `Retry-After`.
    """

    slug: str
    status: int
    title: str
    detail: str
    retryable: bool = False
    retry_after_seconds: int | None = None


def _kind(
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

MALFORMED_REQUEST = _kind(
    "malformed-request",
    400,
    "Malformed request",
    "The bytes received are not a valid HTTP request.",
)
MALFORMED_BODY = _kind(
    "malformed-body",
    400,
    "Malformed body",
    "The body is not valid JSON in UTF-8, repeats a key, is nested too deep, or is not what its Content-Encoding says.",
)
UNSUPPORTED_PARAMETER = _kind(
    "unsupported-parameter",
    400,
    "Unsupported parameter",
    "The request asks for something this service does not do.",
)
INVALID_CURSOR = _kind(
    "invalid-cursor",
    400,
    "Invalid cursor",
    "The cursor is not one of ours, or was made for another user, filter or order. Start again without it.",
)
UNAUTHENTICATED = _kind(
    "unauthenticated",
    401,
    "Not authenticated",
    "Send a valid key or token in the Authorization header.",
)
FORBIDDEN_USER = _kind("forbidden", 403, "Forbidden", "These credentials do not act for this user.")
FORBIDDEN_SCOPE = _kind("forbidden", 403, "Forbidden", "These credentials lack the scope for this.")
FORBIDDEN_CLIENT = _kind(
    "forbidden",
    403,
    "Forbidden",
    "Without authentication only clients on this machine are let in. Set AUTHENTICATION, or ALLOW_ANONYMOUS=true to let anybody in.",
)
FORBIDDEN_PROXY = _kind(
    "forbidden",
    403,
    "Forbidden",
    "The request came through a proxy that is not trusted to say for whom. Set TRUSTED_PROXIES to the proxy's address, and AUTHENTICATION, or ALLOW_ANONYMOUS=true to let anybody in.",
)
FORBIDDEN_HOST = _kind(
    "forbidden",
    403,
    "Forbidden",
    "The Host header names a host this service does not answer to. Add it to ALLOWED_HOSTS.",
)
NOT_FOUND = _kind("not-found", 404, "Not found", "There is nothing here.")
METHOD_NOT_ALLOWED = _kind(
    "method-not-allowed", 405, "Method not allowed", "This resource does not take this method."
)
REQUEST_TIMEOUT = _kind(
    "request-timeout",
    408,
    "Request timeout",
    "The request was not received in time.",
    retryable=True,
)
IDEMPOTENCY_IN_PROGRESS = _kind(
    "idempotency-in-progress",
    409,
    "Still in progress",
    "A request with this Idempotency-Key is still running.",
    retryable=True,
    retry_after_seconds=1,
)
BODY_TOO_LARGE = _kind(
    "body-too-large", 413, "Body too large", "The body is larger than this service takes."
)
URI_TOO_LONG = _kind(
    "uri-too-long", 414, "URI too long", "The URI is longer than this service takes."
)
UNSUPPORTED_MEDIA_TYPE = _kind(
    "unsupported-media-type",
    415,
    "Unsupported media type",
    "Send the body as application/json in UTF-8.",
)
UNSUPPORTED_CONTENT_ENCODING = _kind(
    "unsupported-content-encoding",
    415,
    "Unsupported content encoding",
    "Send the body as it is, or with one Content-Encoding of those that Accept-Encoding names.",
)
INVALID_REQUEST = _kind(
    "invalid-request",
    422,
    "Invalid request",
    "The request has fields that are not valid; see errors.",
)
UNKNOWN_MODEL = _kind(
    "unknown-model",
    422,
    "Unknown model",
    "No such model can be asked; see errors for those that can.",
)
IDEMPOTENCY_MISMATCH = _kind(
    "idempotency-mismatch",
    422,
    "Idempotency key reused",
    "This Idempotency-Key was used with another request.",
)
CONTENT_BLOCKED = _kind(
    "content-blocked", 422, "Content blocked", "A safety filter refused the prompt or the answer."
)
CONTEXT_TOO_LONG = _kind(
    "context-too-long", 422, "Context too long", "The prompt is longer than the model's context."
)
PROVIDER_REJECTED = _kind(
    "provider-rejected", 422, "Rejected by the provider", "The provider refuses this request."
)
RATE_LIMITED = _kind(
    "rate-limited",
    429,
    "Too many requests",
    "Your own limit of requests, concurrency, tokens or failed credentials is used up.",
    retryable=True,
    retry_after_seconds=1,
)
HEADERS_TOO_LARGE = _kind(
    "headers-too-large", 431, "Headers too large", "The headers are larger than this service takes."
)
INTERNAL = _kind("internal", 500, "Internal error", "Something failed on our side.")
PROVIDERS_FAILED = _kind(
    "providers-failed",
    502,
    "Providers failed",
    "No provider could answer.",
    retryable=True,
    retry_after_seconds=2,
)
OVERLOADED = _kind(
    "overloaded",
    503,
    "Overloaded",
    "The service has more to do than it can take.",
    retryable=True,
    retry_after_seconds=1,
)
PROVIDERS_UNAVAILABLE = _kind(
    "providers-unavailable",
    503,
    "Providers unavailable",
    "Every provider that could answer is resting after failures.",
    retryable=True,
    retry_after_seconds=10,
)
PROVIDER_MISCONFIGURED = _kind(
    "provider-misconfigured",
    503,
    "Provider misconfigured",
    "The provider does not accept this service's configuration.",
    retryable=True,
    retry_after_seconds=60,
)
HISTORY_UNAVAILABLE = _kind(
    "history-unavailable",
    503,
    "History unavailable",
    "Nothing can be kept right now, so no model was asked.",
    retryable=True,
    retry_after_seconds=5,
)
HISTORY_NOT_DURABLE = _kind(
    "history-not-durable",
    503,
    "History not durable",
    "The model answered, but the answer could not be kept.",
    retryable=True,
    retry_after_seconds=1,
)
HISTORY_STORE_UNAVAILABLE = _kind(
    "history-store-unavailable",
    503,
    "History store unavailable",
    "History cannot be read or changed right now.",
    retryable=True,
    retry_after_seconds=5,
)
AUTH_UNAVAILABLE = _kind(
    "auth-unavailable",
    503,
    "Authentication unavailable",
    "Credentials cannot be checked right now.",
    retryable=True,
    retry_after_seconds=5,
)
IDEMPOTENCY_UNAVAILABLE = _kind(
    "idempotency-unavailable",
    503,
    "Idempotency unavailable",
    "Idempotency keys cannot be kept right now.",
    retryable=True,
    retry_after_seconds=5,
)
PROVIDER_TIMEOUT = _kind(
    "provider-timeout",
    504,
    "Provider timeout",
    "No provider answered in time.",
    retryable=True,
)


def problem_body(kind: ProblemKind, request_id: str, **members: Any) -> dict[str, Any]:
    """Return the problem object.

    Args:
        kind: The row of the table.
        request_id: Names the request; `instance` is made of it where it is a UUID.
        members: Further members, such as `attempts` and `errors`.
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
