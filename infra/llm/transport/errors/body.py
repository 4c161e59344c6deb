"""Parses the error bodies of Google, OpenAI, OpenRouter and similar servers."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import orjson

_MESSAGE_LIMIT = 2000
_START_OF_A_MESSAGE = 200
_DEEPEST_NESTING = 4
_TEXT_FIELDS = ("message", "msg", "detail", "error", "error_description")
_CODE_FIELDS = ("code", "type", "status", "error_type", "__type")
_THREE_DIGITS = re.compile(r"\d{3}", re.ASCII)
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")
_QUOTED = re.compile(r"""(?<!\w)'[^']*'(?!\w)|"[^"]*"|`[^`]*`|“[^”]*”""")
_STATUS_OF_CODE = {
    **dict.fromkeys(("context_length_exceeded", "exceed_context_size_error"), 400),
    **dict.fromkeys(("content_filter", "content_policy_violation"), 400),
    "invalid_request_error": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "server_error": 500,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
    # AWS
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ModelNotReadyException": 429,
    "ThrottlingException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}
_TYPE_HEADER = "x-amzn-ErrorType"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireError:
    """A parsed error body.

    Attributes:
        codes: All error codes, from any field, as `plain_code` spells them.
        status: The HTTP status that it names or implies; None without one.
        message: The start of its text in lower case; never passed on.
        param: The field of the request that it concerns; empty without one.
        metadata: OpenRouter's details.
        retry_delay: Google's, as sent.
    """

    codes: frozenset[str]
    status: int | None
    message: str
    param: str
    metadata: dict[str, object]
    retry_delay: object

    @classmethod
    def parse(cls, body: object) -> "WireError":
        """Parse `body`; one of a wrong shape yields an empty error."""
        if isinstance(body, list) and body:
            body = body[0]  # Gemini's array of one, without `alt=sse`
        if isinstance(body, str):
            body = {"message": body}  # plain text, as Rust's web servers send it
        error = body.get("error") or body if isinstance(body, dict) else {}
        if isinstance(error, str) and isinstance(body, dict):
            error = {**body, "error": None, "message": error}  # Ollama's, TGI's, xAI's
        if not isinstance(error, dict):
            error = {}
        details = [item for item in _list(error.get("details")) if isinstance(item, dict)]
        words = [error.get(name) for name in _CODE_FIELDS]
        words += [item.get("reason") for item in details]
        metadata = error.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        upstream = _upstream(metadata)
        words += [upstream.get(name) for name in _CODE_FIELDS]
        inner = error.get("innererror")
        words += [inner.get("code")] if isinstance(inner, dict) else []
        param = error.get("param") or upstream.get("param")
        message = " ".join((*_texts(error), *_texts(upstream)))[:_MESSAGE_LIMIT]
        return cls(
            codes=frozenset(plain_code(word) for word in words if isinstance(word, str)),
            status=_status(error.get("code"), error.get("type")),
            message=message.replace("%20", " ").lower(),
            param=param.lower() if isinstance(param, str) else "",
            metadata=metadata,
            retry_delay=next((d["retryDelay"] for d in details if "retryDelay" in d), None),
        )

    @property
    def unquoted_start(self) -> str:
        """The start of the message without quotations, which may be a name or the caller's own text."""
        return _QUOTED.sub("", self.message[:_START_OF_A_MESSAGE]).strip()


def with_type_in_header(body: object, headers: Mapping[str, str]) -> object:
    """Return the body of a refusal with the type of its error, which AWS sends in a header.

    Args:
        body: As parsed, of any shape.
        headers: Of the response.
    """
    header = headers.get(_TYPE_HEADER)
    if header is None:
        return body
    texts = body if isinstance(body, dict) else {"message": body} if isinstance(body, str) else {}
    return {**texts, "__type": header.partition(":")[0]}


def plain_code(code: str) -> str:
    """Return a code in the spelling used for comparison: `InvalidApiKey` is `invalid_api_key`."""
    return _NOT_PLAIN.sub("", code.lower())


def _texts(error: dict[str, object], depth: int = 0) -> Iterator[str]:
    """Yield the texts of an error, but no parts of the request that some servers send back."""
    for name in _TEXT_FIELDS:
        for value in _values(error.get(name)):
            if isinstance(value, str):
                yield value
            elif isinstance(value, dict) and depth < _DEEPEST_NESTING:
                place = [part for part in _list(value.get("loc")) if isinstance(part, str)]
                yield from place
                yield from _texts(value, depth + 1)


def _upstream(metadata: dict[str, object]) -> dict[str, object]:
    """Return the error of the host behind OpenRouter, which it passes on as text; empty without one."""
    raw = metadata.get("raw")
    if not isinstance(raw, str):
        return {}
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {"message": raw}
    if isinstance(document, dict):
        error = document.get("error", document)
        return error if isinstance(error, dict) else {"message": error}
    return {}


def _values(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _status(*values: object) -> int | None:
    for value in values:
        status = value
        if isinstance(value, str):
            status = int(value) if _THREE_DIGITS.fullmatch(value) else _STATUS_OF_CODE.get(value)
        if isinstance(status, int) and 400 <= status <= 599:
            return status
    return None
