"""Events of Gemini's answers."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.entities.reply import NO_USAGE, FinishReason, Usage
from infra.llm.providers.gemini.answer import GeminiReader
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from tests.fakes.gemini import candidate
from tests.fakes.received import events_of, text_of


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        *(
            (reason, FinishReason.CONTENT_FILTER)
            for reason in (
                "SAFETY",
                "RECITATION",
                "LANGUAGE",
                "BLOCKLIST",
                "PROHIBITED_CONTENT",
                "SPII",
                "MODEL_ARMOR",
                "IMAGE_SAFETY",
                "IMAGE_PROHIBITED_CONTENT",
                "IMAGE_RECITATION",
                "IMAGE_OTHER",
            )
        ),
        *(
            (reason, FinishReason.ERROR)
            for reason in (
                "OTHER",
                "MALFORMED_FUNCTION_CALL",
                "UNEXPECTED_TOOL_CALL",
                "TOO_MANY_TOOL_CALLS",
                "NO_IMAGE",
                "SOMETHING_OF_2030",
            )
        ),
        *dict.fromkeys(["stop", "Stop"], FinishReason.STOP).items(),
        *dict.fromkeys(["max_tokens", "Max_Tokens"], FinishReason.LENGTH).items(),
        *dict.fromkeys(["safety", "Image_Safety"], FinishReason.CONTENT_FILTER).items(),
        ("FINISH_REASON_UNSPECIFIED", None),
        ("finish_reason_unspecified", None),
        ("", None),
        (None, None),
    ],
)
def test_what_a_finish_reason_means(reason: str | None, meaning: FinishReason | None) -> None:
    reader = GeminiReader()
    assert text_of(reader.take(candidate("text", finishReason=reason))) == "text"
    assert reader.finish_reason is meaning


@pytest.mark.parametrize(
    "reason",
    [
        "SAFETY",
        "OTHER",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "IMAGE_SAFETY",
        "MODEL_ARMOR",
        "JAILBREAK",
        "SOMETHING_OF_2030",
    ],
)
def test_a_prompt_with_a_block_reason_is_blocked(reason: str) -> None:
    reader = GeminiReader()
    assert text_of(reader.take({"promptFeedback": {"blockReason": reason}})) == ""
    assert reader.finish_reason is FinishReason.CONTENT_FILTER


@pytest.mark.parametrize(
    "feedback", [{}, {"blockReason": "BLOCKED_REASON_UNSPECIFIED"}, {"safetyRatings": []}, None]
)
def test_feedback_without_a_reason_blocks_nothing(feedback: object) -> None:
    reader = GeminiReader()
    assert text_of(reader.take({"promptFeedback": feedback})) == ""
    assert reader.finish_reason is None


def test_thoughts_are_not_the_answer() -> None:
    parts = [
        {"text": "Let me think. ", "thought": True},
        {"text": "Four", "thoughtSignature": "abc"},
        {"functionCall": {"name": "x"}},
        {"text": ".", "thought": False},
    ]
    assert text_of(GeminiReader().take({"candidates": [{"content": {"parts": parts}}]})) == "Four."


@pytest.mark.parametrize("content", [{}, {"role": "model"}, {"parts": []}, {"parts": None}, None])
def test_content_may_be_empty(content: object) -> None:
    assert text_of(GeminiReader().take({"candidates": [{"content": content}]})) == ""


@pytest.mark.seen("A8")
def test_the_last_reason_holds_but_a_block_stays() -> None:
    reader = GeminiReader()
    reader.take(candidate("a", finishReason="STOP"))
    reader.take(candidate("b", finishReason="MAX_TOKENS"))
    assert reader.finish_reason is FinishReason.LENGTH
    reader.take(candidate(None, finishReason="SAFETY"))
    reader.take(candidate(None, finishReason="STOP"))
    assert reader.finish_reason is FinishReason.CONTENT_FILTER


@pytest.mark.seen("A9")
@pytest.mark.parametrize(
    ("parts", "is_at_work"),
    [
        ([{"text": "hm", "thought": True}], True),
        ([{"functionCall": {"name": "x"}}], True),
        ([{}], False),
        ([{"text": "a"}], False),
        ([], False),
    ],
)
def test_thoughts_and_calls_show_that_the_model_is_at_work(
    parts: list[Any], is_at_work: bool
) -> None:
    reader = GeminiReader()
    received = reader.take({"candidates": [{"content": {"parts": parts}}]})
    is_life = reader.has_progress or any(not isinstance(event, str) for event in received)
    assert is_life is is_at_work


def test_the_array_of_the_other_format_is_read_as_well() -> None:
    reader = GeminiReader()
    assert text_of(reader.take([candidate("a"), candidate("b", finishReason="STOP")])) == "ab"
    assert reader.finish_reason is FinishReason.STOP


@pytest.mark.parametrize("document", [{"error": {"code": 503}}, [{"error": {"code": 503}}]])
def test_an_error_in_the_answer_is_told(document: object) -> None:
    with pytest.raises(ErrorInAnswer):
        GeminiReader().take(document)


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (
            {"promptTokenCount": 15, "candidatesTokenCount": 1, "thoughtsTokenCount": 72}
            | {"totalTokenCount": 88, "cachedContentTokenCount": 4},
            Usage(
                input_tokens=15,
                output_tokens=73,
                reasoning_tokens=72,
                total_tokens=88,
                cached_input_tokens=4,
            ),
        ),
        (
            {"promptTokenCount": 15, "thoughtsTokenCount": 2},
            Usage(input_tokens=15, output_tokens=2, reasoning_tokens=2),
        ),
        ({"candidatesTokenCount": 8}, Usage(output_tokens=8)),
        ({"trafficType": "ON_DEMAND"}, NO_USAGE),
        ({"promptTokenCount": "15"}, NO_USAGE),
        ({"promptTokenCount": -1, "totalTokenCount": 1 << 60}, NO_USAGE),
        ({"promptTokenCount": 10**9 + 1, "thoughtsTokenCount": 10**400}, NO_USAGE),
        ({"promptTokenCount": True}, NO_USAGE),
        ([1], NO_USAGE),
    ],
)
def test_thoughts_are_billed_as_output_and_what_was_not_said_is_none(
    counts: object, usage: Usage
) -> None:
    reader = GeminiReader()
    reader.take({"usageMetadata": counts})
    assert reader.usage() == usage


def test_the_last_counts_hold() -> None:
    reader = GeminiReader()
    reader.take(candidate("a") | {"usageMetadata": {"totalTokenCount": 15}})
    reader.take(candidate("b") | {"usageMetadata": {"totalTokenCount": 21}})
    reader.take(candidate("c", finishReason="STOP"))
    assert reader.usage().total_tokens == 21


DEEP: list[Any] = []
for _ in range(900):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(DEEP, marks=pytest.mark.seen("A14")),
        {"candidates": DEEP},
        {"candidates": [{"content": {"parts": DEEP}}]},
        {"candidates": [{"content": {"parts": [{"text": DEEP}]}}]},
        {"candidates": [{"finishReason": DEEP}]},
        [[candidate("a")]],
        "text",
        7,
        None,
        {"candidates": "text"},
        {"candidates": {"0": {}}},
        {"candidates": ["text"]},
        {"candidates": [None]},
        {"candidates": [{"content": "text"}]},
        {"candidates": [{"content": {"parts": "text"}}]},
        {"candidates": [{"content": {"parts": 7}}]},
        {"candidates": [{"content": {"parts": ["text"]}}]},
        {"candidates": [{"content": {"parts": [{"text": 7}]}}]},
        {"candidates": [{"finishReason": 7}]},
        {"candidates": [{"finishReason": ["STOP"]}]},
    ],
)
def test_a_wrong_shape_is_told(document: object) -> None:
    with pytest.raises(UnreadableAnswer):
        GeminiReader().take(document)


_ODD = st.sampled_from([None, 0, "", "x", [], ["x"], {}, {"text": "y"}])
_PARTS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"text": st.text(max_size=3) | _ODD, "thought": st.booleans() | _ODD}
    ),
    max_size=2,
)
_CANDIDATE = st.fixed_dictionaries(
    {},
    optional={
        "content": st.fixed_dictionaries({}, optional={"parts": _PARTS | _ODD}) | _ODD,
        "finishReason": st.sampled_from(["STOP", "FINISH_REASON_UNSPECIFIED", "SAFETY"]) | _ODD,
    },
)
_EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.lists(_CANDIDATE | _ODD, max_size=2) | _ODD,
        "usageMetadata": st.just({"totalTokenCount": 3}) | _ODD,
        "error": _ODD,
        "promptFeedback": st.just({"blockReason": "SAFETY"}) | _ODD,
    },
)


@given(events=st.lists(_EVENTS | _ODD, max_size=3))
def test_the_quick_look_at_an_event_sees_what_the_long_one_sees(events: list[Any]) -> None:
    quick, thorough = GeminiReader(), GeminiReader()
    for event in events:
        seen = [
            _outcome(lambda found: events_of(quick.take(found)), event),
            _outcome(lambda found: events_of(thorough._take_any(found)), event),
        ]
        assert seen[0] == seen[1]
        assert quick.finish_reason is thorough.finish_reason
        assert quick.has_progress is thorough.has_progress
        assert _outcome(lambda _: quick.usage(), event) == _outcome(
            lambda _: thorough.usage(), event
        )


def _outcome(read: Callable[[object], object], event: object) -> object:
    try:
        return read(event)
    except Exception as exc:  # noqa: BLE001 - whatever it is, both have to say the same
        return type(exc), str(exc)
