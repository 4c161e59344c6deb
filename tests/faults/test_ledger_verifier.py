"""The verifier finds what it is there to find: one that never objects would prove nothing."""

from typing import Any

import pytest

from tests.faults.ledger import Entry
from tests.faults.ledger_load import USERS
from tests.faults.ledger_verifier import Verdict, compare

TEXT = "All is well."


def an_entry(**other: Any) -> Entry:
    given: dict[str, Any] = {
        "user_id": USERS[0],
        "prompt": "question 0",
        "sent_seconds": 0.0,
        "seconds": 0.2,
        "status": 200,
        "interaction_id": "0",
        "text_bytes": len(TEXT),
        "is_done": True,
    }
    return Entry(**(given | other))


def an_item(**other: Any) -> dict[str, Any]:
    return {
        "id": "0",
        "userId": USERS[0],
        "userPrompt": "question 0",
        "status": "completed",
        "response": TEXT,
    } | other


def faults_of(*history: dict[str, Any], entry: Entry | None = None, **other: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"asked": ["question 0"], "dead_letters": (), **other}
    verdict: Verdict = compare([entry or an_entry()], history, **given)
    return verdict.faults


def test_what_was_promised_and_kept_is_no_fault() -> None:
    assert faults_of(an_item()) == {}


@pytest.mark.parametrize(
    "other",
    [{"id": "1"}, {"userId": USERS[1]}, {"userPrompt": "other"}, {"status": "interrupted"}],
)
def test_missing_is_what_is_not_there_as_it_was_promised(other: dict[str, str]) -> None:
    assert faults_of(an_item(**other)) == {"missing": ["question 0"]}


def test_nothing_was_promised_by_an_answer_that_broke_off() -> None:
    assert faults_of(entry=an_entry(is_done=False)) == {}
    assert faults_of(entry=an_entry(status=0, is_done=False)) == {}


def test_duplicates_are_found_by_id_and_by_prompt() -> None:
    assert faults_of(an_item(), an_item()) == {"duplicates": ["0", "question 0"]}
    assert faults_of(an_item(), an_item(id="1")) == {"duplicates": ["question 0"]}


def test_altered_is_another_text_than_the_client_has() -> None:
    assert faults_of(an_item(response="All is")) == {"altered": ["question 0"]}


def test_an_answer_that_no_provider_gave_is_found() -> None:
    assert faults_of(an_item(), asked=[]) == {"unasked": ["question 0"]}


def test_a_refusal_must_come_before_the_provider_is_asked() -> None:
    refused = an_entry(status=503, problem="history-unavailable", is_done=False)
    assert faults_of(entry=refused) == {"asked in vain": ["question 0"]}
    assert faults_of(entry=refused, asked=[]) == {}


def test_what_is_among_the_dead_letters_is_found() -> None:
    assert faults_of(an_item(), dead_letters=["0"]) == {"dead": ["question 0"]}
