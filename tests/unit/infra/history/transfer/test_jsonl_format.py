"""Lines of exported interactions: what callers see, to the byte, and strict on the way back."""

import re
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given

from app.dto.native.interaction import InteractionDto
from domain.entities.interaction import Interaction, Status
from domain.entities.prompt import Prompt
from domain.entities.reply import NO_USAGE
from infra.history.format.documents import UnreadableDocument, interaction_in, record_of
from infra.history.transfer.jsonl_format import InvalidLine, digest_of_line, line_of, read_line
from tests.fakes.interactions import an_interaction, any_interactions


def seen_by_callers(interaction: Interaction) -> bytes:
    return InteractionDto.from_interaction(interaction).model_dump_json(by_alias=True).encode()


def as_exported(interaction: Interaction) -> Interaction:
    """Return the interaction without what callers never see."""
    prompt = interaction.prompt
    usage = replace(interaction.usage, cached_input_tokens=None)
    return replace(
        interaction,
        prompt=Prompt.from_text(prompt.text, system=prompt.system, temperature=prompt.temperature),
        usage=NO_USAGE if usage == NO_USAGE else usage,
        attempts=tuple(
            replace(one, usage=one.usage and replace(one.usage, cached_input_tokens=None))
            for one in interaction.attempts
        ),
    )


@given(any_interactions)
def test_a_line_is_what_the_http_api_shows(interaction: Interaction) -> None:
    assert line_of(record_of(interaction)) == seen_by_callers(interaction)


@given(any_interactions)
def test_a_line_that_was_exported_comes_back_as_it_was(interaction: Interaction) -> None:
    possible = replace(interaction, conversation_id="c|1" if interaction.conversation_id else None)
    line = line_of(record_of(possible))

    record, canonical = read_line(line)

    assert canonical == line
    assert interaction_in(record) == as_exported(possible)
    assert record == record_of(as_exported(possible))
    assert line_of(record) == line


ATTEMPT = {"provider": "p", "model": "m", "outcome": "ok", "seconds": 1.0, "httpStatus": None}


def a_line(**changes: Any) -> bytes:
    return orjson.dumps(orjson.loads(line_of(record_of(an_interaction()))) | changes)


def test_another_order_of_fields_and_spaces_mean_the_same() -> None:
    said = orjson.loads(a_line())
    spaced = orjson.dumps(dict(reversed(said.items())), option=orjson.OPT_INDENT_2)
    assert read_line(spaced.replace(b"\n", b" ")) == read_line(a_line())


@pytest.mark.seen("A13")
def test_lines_of_before_attempts_had_a_usage_are_read_and_a_usage_of_nothing_is_left_out() -> None:
    old = a_line(attempts=[ATTEMPT])
    assert read_line(old)[1] == old
    record, canonical = read_line(a_line(attempts=[ATTEMPT | {"usage": dict.fromkeys(USAGE)}]))
    assert canonical == old
    assert interaction_in(record).attempts[0].usage is None


USAGE = {
    "inputTokens": 1,
    "outputTokens": 1,
    "reasoningTokens": None,
    "totalTokens": 2,
    "costUsd": None,
}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"\xef\xbb\xbf" + a_line(), "not JSON"),
        (a_line().replace(b"1.25", b"NaN"), "not JSON"),
        (a_line(response="?").replace(b'"?"', b'"\\ud800"'), "not JSON"),
        (b"[]", "dictionary"),
        (b"{}", "id: Field required"),
        (a_line(later=1), "later: Extra"),
        (a_line(id="x"), "id: "),
        (a_line(id="019aabb1-7c80-4000-8a51-0f1d2c3b4a59"), "id: "),
        (a_line(id="ffffffff-ffff-7000-8a51-0f1d2c3b4a59"), "id: "),
        (a_line(userId="a/b"), "userId: "),
        (a_line(userId="ana\n"), "userId: "),
        (a_line(timestamp="2026-11-22T10:00:00.124Z"), "timestamp: "),
        (a_line(timestamp="now"), "timestamp: "),
        (a_line(temperature="1"), "temperature: "),
        (a_line(temperature=3), "temperature: "),
        (a_line(status="done"), "status: "),
        (a_line(finishReason=""), "finishReason: "),
        (a_line(fallbackUsed=0), "fallbackUsed: "),
        (a_line(llmResponseSeconds=-1), "llmResponseSeconds: "),
        (a_line(usage=None), "usage: "),
        (a_line(usage=USAGE | {"inputTokens": 1.5}), "usage.inputTokens: "),
        (a_line(usage=USAGE | {"inputTokens": 2**63}), "usage.inputTokens: "),
        (a_line(attempts=[{}]), "attempts.0.provider: "),
        (a_line(attempts=[ATTEMPT | {"usage": {}}]), "attempts.0.usage.inputTokens: "),
        (a_line(attempts=[ATTEMPT | {"usage": USAGE | {"more": 1}}]), "attempts.0.usage.more: "),
        (a_line(attempts=[ATTEMPT | {"usage": None}]), "attempts.0.usage: "),
        (a_line(history={"status": "accepted"}), "history: Extra"),
    ],
)
def test_what_is_no_interaction_is_refused_without_being_repeated(line: bytes, why: str) -> None:
    with pytest.raises(InvalidLine, match=re.escape(why)) as refusal:
        read_line(line)
    assert "question 0" not in str(refusal.value)


def test_a_whole_number_is_a_number() -> None:
    record, canonical = read_line(a_line(temperature=1, llmResponseSeconds=2))
    assert b'"temperature":1.0' in canonical
    assert interaction_in(record).latency_seconds == 2.0


def test_what_callers_do_not_see_changes_no_digest() -> None:
    hidden = an_interaction(prompt=Prompt.from_text("question 0", max_output_tokens=7))
    assert digest_of_line(record_of(hidden)) == digest_of_line(record_of(an_interaction()))
    assert digest_of_line(record_of(an_interaction(text="x"))) != digest_of_line(record_of(hidden))


@pytest.mark.parametrize("status", Status)
def test_whether_there_is_an_answer_is_found_out_anew(status: Status) -> None:
    for text in ("", "words"):
        interaction = an_interaction(status=status, text=text)
        assert read_line(line_of(record_of(interaction)))[0] == record_of(interaction)


def test_a_record_of_a_later_version_is_not_guessed_at() -> None:
    record = record_of(an_interaction())
    later = replace(record, body=record.body.replace(b'"v":1', b'"v":2'))
    for broken in (later, replace(record, body=b"{}"), replace(record, body=b"[")):
        with pytest.raises(UnreadableDocument):
            line_of(broken)
