"""An answer piece by piece, and what it comes to."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.entities.reply import FinishReason, Reply, Usage
from domain.exceptions import (
    ContentBlocked,
    ContextTooLong,
    LLMRateLimited,
    LLMRejected,
    LLMUnavailable,
)
from infra.llm.providers.gemini.answer import GeminiReader
from infra.llm.providers.openai.answer import OpenAIReader
from infra.llm.transport.errors.answer_errors import UnreadableAnswer
from infra.llm.transport.response_parser import AnswerReader
from infra.llm.transport.stream_decoder import ReceivedAnswer
from tests.fakes import gemini, openai
from tests.fakes.received import text_of

END = b""


def answer_of(
    *chunks: bytes,
    reader: AnswerReader | None = None,
    max_bytes: int = 1000,
    may_be_empty: bool = False,
    headers: Mapping[str, str] | None = None,
) -> tuple[list[str], ReceivedAnswer]:
    """Feed chunks for as long as the answer takes them."""
    answer = ReceivedAnswer(
        "provider",
        reader or OpenAIReader(),
        headers or {},
        max_bytes=max_bytes,
        may_be_empty=may_be_empty,
    )
    texts = []
    for chunk in chunks:
        if answer.is_over:
            break
        texts.append(text_of(answer.take(chunk)))
    assert answer.is_over
    return texts, answer


def reply_of(answer: ReceivedAnswer) -> Reply:
    *_, reply = answer.end(lambda usage: usage)
    assert isinstance(reply, Reply)
    return reply


def text_event(text: str, finish_reason: str | None = None) -> bytes:
    return openai.event(openai.chunk({"content": text}, finish_reason))


STOPPED = text_event("", "stop")


def test_events_that_came_together_are_given_out_together() -> None:
    texts, answer = answer_of(
        text_event("a") + text_event("b"), text_event("c") + STOPPED + openai.DONE
    )
    assert texts == ["ab", "c"]
    assert reply_of(answer).finish_reason is FinishReason.STOP


def test_what_comes_after_done_is_not_read() -> None:
    texts, answer = answer_of(
        text_event("a") + STOPPED + openai.DONE + text_event("b") + b"garbage\n"
    )
    assert texts == ["a"]
    assert reply_of(answer).finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    "body",
    [
        text_event("a") + STOPPED,
        text_event("a") + STOPPED + openai.DONE.strip(),
        text_event("a") + openai.DONE,
        text_event("a", "stop").strip(),
    ],
    ids=["a reason", "unended done", "done", "unended reason"],
)
def test_a_reason_or_done_completes_an_answer(body: bytes) -> None:
    texts, answer = answer_of(body, END)
    assert "".join(texts) == "a"
    assert reply_of(answer).finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    "body", [b"", text_event("a"), text_event("a") + text_event("b", "stop")[:-9]]
)
def test_an_answer_with_neither_was_cut(body: bytes) -> None:
    chunks = [body, END] if body else [END]
    texts, answer = answer_of(*chunks)
    assert "".join(texts) in ("", "a")
    with pytest.raises(LLMUnavailable) as raised:
        reply_of(answer)
    assert raised.value.connection_broke


def test_gemini_s_answers_are_not_completed_by_done() -> None:
    body = gemini.event(gemini.candidate("a"))
    _, answer = answer_of(body + openai.DONE, END, reader=GeminiReader())
    with pytest.raises(LLMUnavailable):
        reply_of(answer)


def test_text_that_came_before_an_error_in_the_same_read_is_not_lost() -> None:
    error = openai.event({"error": {"code": 429, "message": "slow"}})
    texts, answer = answer_of(text_event("a") + error, headers={"Retry-After": "3"})
    assert texts == ["a"]
    with pytest.raises(LLMRateLimited) as raised:
        reply_of(answer)
    assert (raised.value.http_status, raised.value.retry_after_seconds) == (429, 3.0)


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"code": 502, "message": "x"}, LLMUnavailable, 502),
        ({"code": 400, "message": "x"}, LLMRejected, 400),
        ({"code": "context_length_exceeded"}, ContextTooLong, 400),
        ({"code": "content_filter", "type": "x"}, ContentBlocked, 400),
        ({"code": 400, "message": "maximum context length is 5"}, ContextTooLong, 400),
        ({"code": 403, "metadata": {"reasons": ["x"]}}, ContentBlocked, 403),
        ({"message": "x", "type": "server_error", "code": None}, LLMUnavailable, 500),
        ("overloaded", LLMUnavailable, 200),
        (True, LLMUnavailable, 200),
    ],
)
@pytest.mark.parametrize("is_event", [True, False])
def test_an_error_in_a_success_counts_as_its_code(
    error: object, kind: type[Exception], status: int, is_event: bool
) -> None:
    document = {"error": error}
    body = openai.event(document) if is_event else openai.whole(document).steps[0]
    assert isinstance(body, bytes)
    _, answer = answer_of(body, END)
    with pytest.raises(kind) as raised:
        reply_of(answer)
    assert getattr(raised.value, "http_status", None) == status


def test_an_error_after_the_reason_still_is_one() -> None:
    body = text_event("", "length") + openai.event({"error": {"code": 400}}) + openai.DONE
    _, answer = answer_of(body)
    with pytest.raises(LLMRejected):
        reply_of(answer)


def test_moderation_after_some_text_is_how_the_answer_ended() -> None:
    error = {"code": 403, "message": "x", "metadata": {"reasons": ["x"]}}
    texts, answer = answer_of(text_event("a"), openai.event({"error": error}))
    assert texts == ["a", ""]
    assert reply_of(answer).finish_reason is FinishReason.CONTENT_FILTER


@pytest.mark.parametrize(
    ("finish_reason", "kind"), [("stop", LLMUnavailable), ("content_filter", ContentBlocked)]
)
def test_an_answer_without_text_is_a_failure(finish_reason: str, kind: type[Exception]) -> None:
    _, answer = answer_of(text_event("", finish_reason) + openai.DONE)
    with pytest.raises(kind):
        reply_of(answer)


def test_a_text_that_was_gone_on_from_may_have_been_whole() -> None:
    _, answer = answer_of(STOPPED + openai.DONE, may_be_empty=True)
    assert reply_of(answer).finish_reason is FinishReason.STOP


def test_a_block_in_going_on_is_how_the_answer_ended() -> None:
    _, answer = answer_of(text_event("", "content_filter") + openai.DONE, may_be_empty=True)
    assert reply_of(answer).finish_reason is FinishReason.CONTENT_FILTER


def test_a_model_that_gave_up_ends_the_answer_at_once() -> None:
    body = gemini.event(gemini.candidate("a", finishReason="MALFORMED_FUNCTION_CALL"))
    texts, answer = answer_of(body, reader=GeminiReader())
    assert texts == ["a"]
    with pytest.raises(LLMUnavailable) as raised:
        reply_of(answer)
    assert not raised.value.connection_broke


@pytest.mark.parametrize("junk", [b"data: {oops\n\n", b"data: \xff\n\n", b'data: {"\\ud800\n\n'])
def test_junk_spoils_an_answer_but_not_what_came_before(junk: bytes) -> None:
    texts, answer = answer_of(text_event("a") + junk)
    assert texts == ["a"]
    with pytest.raises(ValueError, match="line 1"):
        reply_of(answer)


def escaped(text: str) -> bytes:
    return text_event("?").replace(b'"?"', b'"' + text.encode() + b'"')


@pytest.mark.seen("A10")
@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        ([r"a\ud83d", r"\ude42b"], "a\U0001f642b"),
        ([r"a\uD83D", "", r"\uDE42b"], "a\U0001f642b"),
        ([r"\ud83d", "b"], "\ufffdb"),
        ([r"a\ud83d"], "a\ufffd"),
        ([r"\ude42b"], "\ufffdb"),
        ([r"\ud83d\ud83d", r"\ude42"], "\ufffd\U0001f642"),
        ([r"\ude42\ud83d"], "\ufffd\ufffd"),
        ([r"\ud83d\ude42", "é"], "\U0001f642é"),
    ],
)
@pytest.mark.parametrize("is_joined", [False, True])
def test_halves_of_a_character_are_joined_and_lone_ones_marked(
    texts: list[str], whole: str, is_joined: bool
) -> None:
    chunks = [*map(escaped, texts), STOPPED + openai.DONE]
    given_out, answer = answer_of(*([b"".join(chunks)] if is_joined else chunks))
    assert "".join(given_out) == whole
    assert reply_of(answer).finish_reason is FinishReason.STOP


@pytest.mark.seen("A10")
def test_half_a_character_before_a_failure_is_given_out_with_what_came() -> None:
    given_out, answer = answer_of(escaped(r"a\ud83d"), b"data: {oops\n\n")
    assert "".join(given_out) == "a\ufffd"
    with pytest.raises(ValueError, match="line 1"):
        reply_of(answer)


@pytest.mark.seen("A10")
def test_gemini_s_halves_join_as_well() -> None:
    event = gemini.event(gemini.candidate("?"))
    halves = [event.replace(b'"?"', half) for half in (b'"\\ud83d"', b'"\\ude42"')]
    ended = gemini.event(gemini.candidate(None, finishReason="STOP"))
    given_out, answer = answer_of(*halves, ended, END, reader=GeminiReader())
    assert "".join(given_out) == "\U0001f642"
    assert reply_of(answer).finish_reason is FinishReason.STOP


@pytest.mark.seen("A10")
def test_an_error_that_was_cut_within_a_character_is_still_understood() -> None:
    event = openai.event({"error": {"code": 429, "message": "?"}}).replace(b'"?"', b'"\\ud83d"')
    _, answer = answer_of(event)
    with pytest.raises(LLMRateLimited):
        reply_of(answer)


@pytest.mark.seen("A14")
def test_half_a_character_in_a_document_too_deep_is_junk() -> None:
    event = b'data: {"a":"\\ud83d","b":' + b"[" * 5000 + b"]" * 5000 + b"}\n\n"
    _, answer = answer_of(event)
    with pytest.raises(ValueError, match="surrogate"):
        reply_of(answer)


@pytest.mark.seen("A3")
@pytest.mark.parametrize(
    "after",
    [openai.event({"error": {"code": 502}}), b"data: {oops\n\n", text_event("", "error"), END],
)
def test_nothing_after_a_block_makes_it_a_failure(after: bytes) -> None:
    _, answer = answer_of(text_event("", "content_filter"), after, END)
    with pytest.raises(ContentBlocked):
        reply_of(answer)


@pytest.mark.seen("A4")
def test_an_unknown_reason_without_done_or_without_text_is_a_failure() -> None:
    _, answer = answer_of(text_event("a", "something"), END)
    with pytest.raises(LLMUnavailable) as raised:
        reply_of(answer)
    assert not raised.value.connection_broke
    _, answer = answer_of(text_event("", "something") + openai.DONE)
    with pytest.raises(LLMUnavailable):
        reply_of(answer)


def test_a_web_page_is_no_answer_and_no_broken_line() -> None:
    _, answer = answer_of(b"<html>\n<p a: b>Log in</p>\n</html>\n", END)
    with pytest.raises(UnreadableAnswer):
        reply_of(answer)


KEEP_ALIVES = (": ping\n", ":\n\n", "data:\n\n", "id: 7\nretry: 9\n\n", "foo: bar\n", "\n")
BODIES = {
    OpenAIReader: [
        openai.chunk({"role": "assistant", "content": ""}),
        openai.chunk({"reasoning_content": "hm"}),
        openai.chunk({"content": "é世"}),
        openai.chunk({"content": [{"type": "text", "text": "\U0001f642"}]}),
        openai.chunk({}, "STOP"),
        {"choices": [], "usage": {"total_tokens": 7}},
    ],
    GeminiReader: [
        gemini.candidate("é世"),
        {"candidates": [{"content": {"parts": [{"text": "hm", "thought": True}]}}]},
        gemini.candidate("\U0001f642"),
        {**gemini.candidate(None, finishReason="stop"), "usageMetadata": {"totalTokenCount": 7}},
    ],
}


@pytest.mark.slow
@pytest.mark.seen("A1")
@pytest.mark.parametrize("make_reader", BODIES)
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_however_the_bytes_come_the_answer_is_the_same(
    make_reader: Callable[[], AnswerReader], data: st.DataObject
) -> None:
    body = data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    for document in BODIES[make_reader]:  # type: ignore[index]
        between = "".join(data.draw(st.lists(st.sampled_from(KEEP_ALIVES), max_size=2)))
        event = f"{between}data: {orjson.dumps(document).decode()}\n\n"
        body += event.encode().replace(b"\n", data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"])))
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=20))
    edges = [0, *sorted(cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(edges) if start < end]
    texts, answer = answer_of(*chunks, END, reader=make_reader())
    assert "".join(texts) == "é世\U0001f642"
    assert reply_of(answer) == Reply(finish_reason=FinishReason.STOP, usage=Usage(total_tokens=7))


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"choices":[]}', b'{"choices":[{}]}'])
def test_json_without_an_answer_in_it_makes_no_sense(body: bytes) -> None:
    _, answer = answer_of(body, END)
    with pytest.raises((LLMUnavailable, UnreadableAnswer)) as raised:
        reply_of(answer)
    assert not getattr(raised.value, "connection_broke", False)


@pytest.mark.parametrize(
    ("texts", "given_out"),
    [
        (["aaaaaa", "bbbb"], "aaaaaabbbb"),
        (["aaaaaa", "bbbbb"], "aaaaaabbbb"),
        (["aaaaaaaaaaaaaaaaaaa"], "aaaaaaaaaa"),
        (["ééééé"], "ééééé"),
        (["aéééééé"], "aéééé"),
        (["aaaaaaaaa", "é"], "aaaaaaaaa"),
        (["aaaaaaaaaa", "b"], "aaaaaaaaaa"),
        (["😀😀😀"], "😀😀"),
    ],
)
def test_an_answer_is_cut_at_the_limit_and_never_within_a_character(
    texts: list[str], given_out: str
) -> None:
    full = "".join(texts)
    chunks = [*(text_event(text) for text in texts), STOPPED + openai.DONE]
    taken, answer = answer_of(*chunks, max_bytes=10)
    assert "".join(taken) == given_out
    reply = reply_of(answer)
    if given_out == full:
        assert (reply.finish_reason, reply.was_cut_at_limit) == (FinishReason.STOP, False)
    else:
        assert (reply.finish_reason, reply.was_cut_at_limit) == (FinishReason.LENGTH, True)


def test_the_price_is_added_to_what_was_used() -> None:
    usage_event = openai.event({"choices": [], "usage": {"total_tokens": 7}})
    _, answer = answer_of(text_event("a", "stop") + usage_event + openai.DONE)
    (reply,) = answer.end(lambda usage: Usage(total_tokens=usage.total_tokens, cost_usd=0.5))
    assert isinstance(reply, Reply)
    assert reply.usage == Usage(total_tokens=7, cost_usd=0.5)
