"""Error statuses, whether caused by the provider, by us, or by the client."""

from random import Random

from infra.selftest.exchange import Exchange, Wire
from infra.selftest.fault import Fault, Faults, healthy

REFUSALS = Faults()

_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "PAYMENT_REQUIRED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "TOO_LARGE",
    422: "UNPROCESSABLE",
    500: "INTERNAL",
    502: "BAD_GATEWAY",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "OVERLOADED",
}
_coin = Random(7)  # noqa: S311 - reproducible, not secret


async def _refuse(exchange: Exchange, status: int) -> None:
    await exchange.status(status, exchange.error(status, _NAMES[status], "no"))


def _always(status: int) -> Fault:
    async def refused(exchange: Exchange) -> None:
        await _refuse(exchange, status)

    return refused


def _once(status: int) -> Fault:
    async def refused_at_first(exchange: Exchange) -> None:
        if exchange.nth == 1:
            await _refuse(exchange, status)
        else:
            await healthy(exchange)

    return refused_at_first


for _status in _NAMES:
    REFUSALS[str(_status)] = _always(_status)
    REFUSALS[f"{_status}-once"] = _once(_status)
REFUSALS["rejected"] = REFUSALS["400"]


@REFUSALS.named("503-after-7s")
async def unavailable_with_delay(exchange: Exchange) -> None:
    """503 with a Retry-After."""
    await exchange.status(
        503, exchange.error(503, "UNAVAILABLE", "overloaded"), {"retry-after": "7"}
    )


@REFUSALS.named("503-half-the-time")
async def unavailable_half_the_time(exchange: Exchange) -> None:
    """503 for a random half of the requests."""
    if _coin.getrandbits(1):
        await _refuse(exchange, 503)
    else:
        await healthy(exchange)


@REFUSALS.named("blocked")
async def blocked(exchange: Exchange) -> None:
    """A safety filter refuses the prompt: Google's and Bedrock's within a 200, OpenRouter's as a 403."""
    if exchange.wire is Wire.BEDROCK:
        await exchange.answer(reason="content_filter")
        return
    if exchange.wire is Wire.GEMINI:
        await exchange.begin()
        await exchange.event({"promptFeedback": {"blockReason": "SAFETY"}})
        await exchange.close_stream()
        return
    document = exchange.error(403, "403", "flagged")
    document["error"]["metadata"] = {"reasons": ["violence"], "flagged_input": "…"}
    await exchange.status(403, document)


@REFUSALS.named("context-too-long")
async def context_too_long(exchange: Exchange) -> None:
    """Context window exceeded."""
    if exchange.wire is Wire.BEDROCK:
        await exchange.status(400, {"message": "Input is too long for requested model."})
        return
    if exchange.wire is Wire.GEMINI:
        message = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
        await exchange.status(400, exchange.error(400, "INVALID_ARGUMENT", message))
        return
    message = "This model's maximum context length is 8192 tokens."
    await exchange.status(400, exchange.error(400, "context_length_exceeded", message))


@REFUSALS.named("bad-key")
async def bad_key(exchange: Exchange) -> None:
    """Rejected API key or signature; Google uses status 400."""
    if exchange.wire is Wire.BEDROCK:
        headers = {"x-amzn-errortype": "UnrecognizedClientException"}
        message = "The security token included in the request is invalid."
        await exchange.status(403, {"message": message}, headers)
        return
    if exchange.wire is Wire.GEMINI:
        reason = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
        }
        await exchange.status(
            400, exchange.error(400, "INVALID_ARGUMENT", "API key not valid.", [reason])
        )
        return
    await exchange.status(401, exchange.error(401, "invalid_api_key", "No auth credentials found"))


@REFUSALS.named("redirect")
async def redirect(exchange: Exchange) -> None:
    """A redirect."""
    await exchange.status(302, {}, {"location": "http://127.0.0.1:1/"})
