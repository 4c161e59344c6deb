"""A logged exception shows where it came from, and quotes nobody but ourselves."""

import pytest

from domain.exceptions import HistoryUnavailable, LLMTimeout
from infra.configuration import ConfigurationError
from infra.logging.failures import describe

WORDS = "private words"


def caught(error: Exception) -> Exception:
    """Return the exception with a traceback."""
    with pytest.raises(type(error)) as info:
        raise error
    return info.value


def test_a_strangers_message_is_not_quoted() -> None:
    described = describe(caught(OSError(WORDS)))
    assert described["type"] == "OSError"
    assert WORDS not in str(described)


def test_a_note_and_the_variables_are_not_shown() -> None:
    answer = WORDS
    error = caught(ValueError(answer))
    error.add_note(answer)
    assert WORDS not in str(describe(error))


def test_our_own_message_is_quoted() -> None:
    described = describe(caught(LLMTimeout("gemini was silent for 12 s")))
    assert described["type"] == "domain.exceptions.llm.LLMTimeout"
    assert described["message"] == "gemini was silent for 12 s"
    assert "gemini was silent" in described["stack_trace"]


def test_what_is_wrong_with_the_configuration_is_quoted() -> None:
    assert (
        describe(ConfigurationError("MODELS_FILE: not found"))["message"]
        == "MODELS_FILE: not found"
    )


def storing_fails() -> None:
    try:
        raise OSError(WORDS)
    except OSError as exc:
        raise HistoryUnavailable("the disk is full") from exc


def test_the_cause_comes_first() -> None:
    with pytest.raises(HistoryUnavailable) as info:
        storing_fails()
    stack = describe(info.value)["stack_trace"]
    assert stack.index("OSError") < stack.index("which led to") < stack.index("HistoryUnavailable")
    assert WORDS not in stack


def storing_fails_for_no_reason() -> None:
    try:
        raise OSError
    except OSError:
        raise HistoryUnavailable from None


def test_a_context_that_was_suppressed_is_left_out() -> None:
    with pytest.raises(HistoryUnavailable) as info:
        storing_fails_for_no_reason()
    assert "OSError" not in describe(info.value)["stack_trace"]


def test_a_group_shows_its_members() -> None:
    group = caught(ExceptionGroup(WORDS, [caught(KeyError(WORDS)), LLMTimeout("silence")]))
    stack = describe(group)["stack_trace"]
    assert "KeyError" in stack
    assert "silence" in stack
    assert WORDS not in stack


def test_endless_recursion_and_chains_are_cut() -> None:
    def deeper() -> None:
        deeper()

    with pytest.raises(RecursionError) as info:
        deeper()
    assert len(describe(info.value)["stack_trace"]) < 20_000
    error: BaseException = ValueError()
    for _ in range(500):
        outer = ValueError()
        outer.__cause__ = error
        error = outer
    assert describe(error)["stack_trace"].count("ValueError") < 20
