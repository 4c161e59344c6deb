"""Answers as servers have been seen to send them, odd but not wrong, and a way to ask for each through every door."""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.selftest.exchange import Exchange, Wire
from infra.selftest.fault import TEXTS, WHOLE_TEXT, Fault, Faults
from tests.faults.conftest import PATIENT_BREAKER
from tests.faults.fault_scenario import FaultScenario, running_scenario
from tests.faults.pace import SCALED, Pace
from tests.faults.routes import WIRES, upstream

DOORS = ("native", "openai")
LAST_CHARACTER = "\U0001f642"
LONG_TEXT = f"{WHOLE_TEXT} Ça va.{LAST_CHARACTER}"
DEEP = b"[" * 900 + b"]" * 900
DEEPER = b"[" * 5000 + b"]" * 5000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
HEARTBEATS = (b"data:\n\n", b"data: \n\n", b"data\n\n", b"id: 7\nretry: 9\n\n", b"event: ping\n\n")
STOP_WORDS = ("STOP", "Stop", "end", "EOS", "eos_token", "end_turn", "stop_sequence", "DONE")
BLOCK_WORDS = ("SAFETY", "sensitive", "Content_Filter", "PROHIBITED_CONTENT", "blocklist", "spii")

WHOLE = Faults()
"""Each says all of `TEXTS`, and is complete."""

OTHERS = Faults()
"""The rest."""


def with_reason(exchange: Exchange, reason: str) -> dict[str, Any]:
    """Return the event that ends an answer in this word."""
    if exchange.wire is Wire.GEMINI:
        return {"candidates": [{"content": {"role": "model"}, "finishReason": reason}]}
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def whole_body(exchange: Exchange, *events: bytes) -> bytes:
    """Return the bytes of a healthy answer; `events` come before the end."""
    said = [exchange.as_event(exchange.piece(text)) for text in TEXTS]
    end = exchange.as_event(exchange.end("stop"))
    done = b"data: [DONE]\n\n" if exchange.wire is Wire.OPENAI else b""
    return b"".join([*said, *events, end, done])


def delta(**fields: Any) -> dict[str, Any]:
    """Return a chunk of Chat Completions."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def parts(*found: dict[str, Any]) -> dict[str, Any]:
    """Return an event of Gemini's."""
    return {"candidates": [{"content": {"role": "model", "parts": list(found)}}]}


@WHOLE.named("heartbeats-without-data")
async def heartbeats_without_data(exchange: Exchange) -> None:
    await exchange.begin()
    for text in TEXTS:
        for heartbeat in HEARTBEATS:
            await exchange.raw(heartbeat)
        await exchange.text(text)
    await exchange.raw(HEARTBEATS[0])
    await exchange.finish()


@WHOLE.named("unknown-fields")
async def unknown_fields(exchange: Exchange) -> None:
    await exchange.begin()
    for text in TEXTS:
        await exchange.raw(b"foo: bar\nping\n" + exchange.as_event(exchange.piece(text)))
    await exchange.finish()


@WHOLE.named("byte-order-mark")
async def byte_order_mark(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.raw(BYTE_ORDER_MARK[:2])
    await exchange.raw(BYTE_ORDER_MARK[2:])
    for text in TEXTS:
        await exchange.text(text)
    await exchange.finish()


@WHOLE.named("lines-end-in-cr")
async def lines_end_in_cr(exchange: Exchange) -> None:
    await exchange.begin()
    for text in TEXTS:
        event = exchange.as_event(exchange.piece(text))
        await exchange.raw(event.replace(b"\n", b"\r"))
    await exchange.finish()


@WHOLE.named("early-reason-then-text")
async def early_reason_then_text(exchange: Exchange) -> None:
    await exchange.begin()
    for text in TEXTS:
        await exchange.text(text)
        await exchange.event(exchange.end("stop"))
    await exchange.finish()


@WHOLE.named("gzip")
async def gzip_stream(exchange: Exchange) -> None:
    await exchange.document(
        gzip.compress(whole_body(exchange)), "text/event-stream", {"content-encoding": "gzip"}
    )


@WHOLE.named("gzip-event-by-event")
async def gzip_event_by_event(exchange: Exchange) -> None:
    head = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
    await exchange.head(200, {**head, "content-encoding": "GZIP"})
    squeezed = zlib.compressobj(wbits=31)
    for event in whole_body(exchange).split(b"\n\n")[:-1]:
        piece = squeezed.compress(event + b"\n\n") + squeezed.flush(zlib.Z_SYNC_FLUSH)
        await exchange.raw(piece)
    await exchange.raw(squeezed.flush())
    await exchange.close_stream()


@WHOLE.named("deflate")
async def deflate(exchange: Exchange) -> None:
    await exchange.document(
        zlib.compress(whole_body(exchange)), "text/event-stream", {"content-encoding": "deflate"}
    )


@WHOLE.named("deflate-raw")
async def deflate_raw(exchange: Exchange) -> None:
    squeezed = zlib.compressobj(wbits=-15)
    body = squeezed.compress(whole_body(exchange)) + squeezed.flush()
    await exchange.document(body, "text/event-stream", {"content-encoding": "deflate"})


@WHOLE.named("deep-in-a-field")
async def deep_in_a_field(exchange: Exchange) -> None:
    event = b'data: {"extra": ' + DEEP + b"}\n\n"
    await exchange.document(whole_body(exchange, event), "text/event-stream")


@WHOLE.named("whole-message-after-deltas")
async def whole_message_after_deltas(exchange: Exchange) -> None:
    if exchange.wire is Wire.GEMINI:
        await exchange.answer(*TEXTS)
        return
    await exchange.begin()
    for text in TEXTS:
        await exchange.text(text)
    message = {"role": "assistant", "content": WHOLE_TEXT}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    await exchange.event({"choices": [choice], "usage": usage})
    await exchange.event(b"[DONE]")
    await exchange.close_stream()


@WHOLE.named("content-in-parts")
async def content_in_parts(exchange: Exchange) -> None:
    await exchange.begin()
    for text in TEXTS:
        if exchange.wire is Wire.GEMINI:
            event = parts(
                {"text": "hm", "thought": True}, {"text": text}, {"thoughtSignature": "x"}
            )
        else:
            thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
            event = delta(content=[thinking, {"type": "text", "text": text}])
        await exchange.event(event)
    await exchange.finish()


def _ends_in(word: str) -> Fault:
    async def ends(exchange: Exchange) -> None:
        await exchange.begin()
        for text in TEXTS:
            await exchange.text(text)
        await exchange.event(with_reason(exchange, word))
        if exchange.wire is Wire.OPENAI:
            await exchange.event(b"[DONE]")
        await exchange.close_stream()

    return ends


def _blocks_in(word: str) -> Fault:
    async def blocks(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(with_reason(exchange, word))
        if exchange.wire is Wire.OPENAI:
            await exchange.event(b"[DONE]")
        await exchange.close_stream()

    return blocks


for _word in STOP_WORDS:
    WHOLE[f"ends-in-{_word}"] = _ends_in(_word)
for _word in (*BLOCK_WORDS, "refusal"):
    OTHERS[f"blocks-in-{_word}"] = _blocks_in(_word)
for _word in ("MAX_TOKENS", "max_tokens", "Length", "model_length", "incomplete"):
    OTHERS[f"cut-in-{_word}"] = _ends_in(_word)
for _word in ("error", "NETWORK_ERROR", "Malformed_Something"):
    OTHERS[f"fails-in-{_word}"] = _ends_in(_word)
OTHERS["ends-in-a-word-of-2030"] = _ends_in("a_word_of_2030")


@OTHERS.named("error-field")
async def error_field(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.raw(b'error: {"message": "overloaded", "code": 503}\n\n')
    await exchange.raw(whole_body(exchange))
    await exchange.close_stream()


@OTHERS.named("error-field-mid-stream")
async def error_field_mid_stream(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.text(TEXTS[0])
    await exchange.raw(b'error: {"error": {"message": "overloaded", "code": 503}}\n\n')
    await exchange.finish()


@OTHERS.named("error-event")
async def error_event(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.raw(b'event: error\ndata: {"message": "overloaded", "code": 503}\n\n')
    await exchange.finish()


@OTHERS.named("refusal")
async def refusal(exchange: Exchange) -> None:
    """OpenAI's way to say no: no content, a refusal, and `stop`."""
    await exchange.begin()
    if exchange.wire is Wire.GEMINI:
        await exchange.text(WHOLE_TEXT)
        await exchange.finish("content_filter")
        return
    for text in TEXTS:
        await exchange.event(delta(content=None, refusal=text))
    await exchange.finish()


@OTHERS.named("refusal-in-a-document")
async def refusal_in_a_document(exchange: Exchange) -> None:
    if exchange.wire is Wire.GEMINI:
        await refusal(exchange)
        return
    message = {"role": "assistant", "content": None, "refusal": WHOLE_TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    await exchange.status(200, {"choices": [choice]})


@OTHERS.named("refusal-that-breaks")
async def refusal_that_breaks(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.event(
        {**exchange.piece(TEXTS[0]), **with_reason(exchange, "SAFETY")}
        if exchange.wire is Wire.GEMINI
        else delta(content=None, refusal=TEXTS[0])
    )
    exchange.writer.close()


@OTHERS.named("early-reason-then-a-pause-of-3s")
async def early_reason_then_a_pause(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.text(TEXTS[0])
    await exchange.event(exchange.end("stop"))
    if not await exchange.hangs_up_within(3.0):
        for text in TEXTS[1:]:
            await exchange.text(text)
        await exchange.finish()


@OTHERS.named("reason-and-an-open-line")
async def reason_and_an_open_line(exchange: Exchange) -> None:
    await exchange.begin()
    for text in TEXTS:
        await exchange.text(text)
    await exchange.event(exchange.end("stop"))
    await exchange.silence()


def _works_between(said: Mapping[Wire, Any]) -> Fault:
    async def works(exchange: Exchange) -> None:
        """Says nothing for three times the limit on silence, but shows that it is at work."""
        await exchange.begin()
        await exchange.text(TEXTS[0])
        for _ in range(6):
            if await exchange.hangs_up_within(0.4):
                return
            sent = said[exchange.wire]
            await (exchange.raw(sent) if isinstance(sent, bytes) else exchange.event(sent))
        for text in TEXTS[1:]:
            await exchange.text(text)
        await exchange.finish()

    return works


OTHERS["thinks-between"] = _works_between(
    {
        Wire.OPENAI: delta(reasoning_content="hm"),
        Wire.GEMINI: parts({"text": "hm", "thought": True}),
    }
)
OTHERS["pings-between"] = _works_between(dict.fromkeys(Wire, b": ping\n\n"))


@OTHERS.named("thinks-for-ever")
async def thinks_for_ever(exchange: Exchange) -> None:
    thought = (
        parts({"text": "hm", "thought": True})
        if exchange.wire is Wire.GEMINI
        else delta(reasoning="hm")
    )
    await exchange.begin()
    while not await exchange.hangs_up_within(0.1):
        await exchange.event(thought)


@OTHERS.named("halves-of-a-character")
async def halves_of_a_character(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.text(LONG_TEXT.removesuffix(LAST_CHARACTER))
    for half in (b"\\ud83d", b"\\ude42"):
        event = exchange.as_event(exchange.piece("?"))
        await exchange.raw(event.replace(b'"?"', b'"' + half + b'"'))
    await exchange.finish()


@OTHERS.named("half-a-character")
async def half_a_character(exchange: Exchange) -> None:
    await exchange.begin()
    event = exchange.as_event(exchange.piece("?"))
    await exchange.raw(event.replace(b'"?"', b'"a\\ud83d"'))
    await exchange.text("b")
    await exchange.finish()


@OTHERS.named("reasoning-outside-output")
async def reasoning_outside_output(exchange: Exchange) -> None:
    await _with_usage(
        exchange,
        {
            "prompt_tokens": 10,
            "completion_tokens": 20,
            "total_tokens": 70,
            "completion_tokens_details": {"reasoning_tokens": 40},
            "prompt_cache_hit_tokens": 6,
        },
        {
            "promptTokenCount": 10,
            "candidatesTokenCount": 20,
            "thoughtsTokenCount": 40,
            "totalTokenCount": 70,
            "cachedContentTokenCount": 6,
        },
    )


@OTHERS.named("usage-out-of-range")
async def usage_out_of_range(exchange: Exchange) -> None:
    await _with_usage(
        exchange,
        {
            "prompt_tokens": 10**15,
            "completion_tokens": -1,
            "total_tokens": 1e300,
            "cost": 1e200,
        },
        {"promptTokenCount": 10**15, "candidatesTokenCount": -1, "totalTokenCount": 1e300},
    )


async def _with_usage(exchange: Exchange, openai: dict[str, Any], gemini: dict[str, Any]) -> None:
    await exchange.begin()
    for text in TEXTS:
        await exchange.text(text)
    end = exchange.end("stop")
    if exchange.wire is Wire.GEMINI:
        await exchange.event({**end, "usageMetadata": gemini})
    else:
        end["choices"][0]["usage"] = openai
        await exchange.event(end)
        await exchange.event(b"[DONE]")
    await exchange.close_stream()


def _deep(payload: bytes) -> Fault:
    async def deep(exchange: Exchange) -> None:
        await exchange.document(payload, "application/json")

    return deep


DEEP_BODIES = {
    "deep-body": DEEP,
    "deeper-body": DEEPER,
    "deep-list-of-answers": b"data: " + DEEP + b"\n\n",
    "deep-candidates": b'{"candidates": %s, "choices": %s}' % (DEEP, DEEP),
    "deep-content": b'{"choices": [{"delta": {"content": %s}, "finish_reason": "stop"}], '
    b'"candidates": [{"content": {"parts": %s}, "finishReason": "STOP"}]}' % (DEEP, DEEP),
    "deep-reason": b'{"choices": [{"delta": {"content": "a"}, "finish_reason": %s}], '
    b'"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": %s}]}' % (DEEP, DEEP),
    "deep-error": b'{"error": %s}' % DEEP,
    "deep-error-code": b'{"error": {"code": %s, "message": %s, "details": %s}}'
    % (DEEP, DEEP, DEEP),
    "deep-half": b'{"choices": [{"delta": {"content": "\\ud83d"}, "x": %s}], "candidates": %s}'
    % (DEEPER, DEEPER),
}
for _name, _payload in DEEP_BODIES.items():
    OTHERS[_name] = _deep(_payload)


@OTHERS.named("deep-refusal")
async def deep_refusal(exchange: Exchange) -> None:
    await exchange.document(b'{"error": %s}' % DEEPER, status=503)


@OTHERS.named("gzip-refusal")
async def gzip_refusal(exchange: Exchange) -> None:
    error = (
        exchange.error(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum")
        if exchange.wire is Wire.GEMINI
        else exchange.error(400, "context_length_exceeded", "too long")
    )
    body = gzip.compress(json.dumps(error).encode())
    await exchange.document(body, headers={"content-encoding": "gzip"}, status=400)


@OTHERS.named("brotli")
async def brotli(exchange: Exchange) -> None:
    await exchange.document(b"\x0b\x00\x80a\x03", "text/event-stream", {"content-encoding": "br"})


@OTHERS.named("not-gzip")
async def not_gzip(exchange: Exchange) -> None:
    await exchange.document(whole_body(exchange), "text/event-stream", {"content-encoding": "gzip"})


@OTHERS.named("web-page")
async def web_page(exchange: Exchange) -> None:
    await exchange.document(b"<html>\n<p style='a: b'>Log in</p>\n</html>\n", "text/html")


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What a caller of the OpenAI-compatible door was told."""

    status: int
    text: str
    finish_reason: str | None
    usage: Mapping[str, Any] | None
    code: str | None


def complete(scenario: FaultScenario, model: str, *, is_streamed: bool) -> Completion:
    """Ask one question at the OpenAI-compatible door."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": f"complete {model} {is_streamed}"}],
        "stream": is_streamed,
    }
    if is_streamed:
        body["stream_options"] = {"include_usage": True}
    response = scenario.client.post("/v1/chat/completions", json=body)
    if response.headers["content-type"].startswith("text/event-stream"):
        lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
        documents = [json.loads(line) for line in lines if line != "[DONE]"]
    else:
        documents = [response.json()]
    choices = [choice for one in documents for choice in one.get("choices", ())]
    said = [choice.get("delta") or choice.get("message") or {} for choice in choices]
    reasons = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    usages = [one["usage"] for one in documents if one.get("usage")]
    errors = [one["error"]["code"] for one in documents if one.get("error")]
    return Completion(
        status=response.status_code,
        text="".join(one.get("content") or "" for one in said),
        finish_reason=reasons[-1] if reasons else None,
        usage=usages[-1] if usages else None,
        code=errors[-1] if errors else None,
    )


@contextmanager
def stage_of_dialects(
    folder: Path,
    dialects: Mapping[str, Fault],
    pace: Pace = SCALED,
    ways: Sequence[str] = ("", "-safe"),
) -> Iterator[FaultScenario]:
    """A service before a provider that speaks these."""
    with running_scenario(folder, list(dialects), pace, PATIENT_BREAKER) as scenario:
        for name, fault in dialects.items():
            for wire in WIRES:
                for way in ways:
                    scenario.provider.override[upstream(f"{wire}-{name}{way}", name)] = fault
        yield scenario
