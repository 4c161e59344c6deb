"""The check of documents from outside, and the table it follows from."""

import orjson
import pytest

from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import FinishReason, Usage
from infra.history.format.documents import document_of, interaction_of, json_of
from infra.history.format.fields import ATTEMPT, DERIVED, INTERACTION, USAGE, is_well_formed

ID = "019aabb1-7c80-7000-8a51-0f1d2c3b4a59"

REQUIRED = {"id", "userId", "model", "status", "seconds"}

EVERY_COUNT = Usage(
    input_tokens=12,
    output_tokens=40,
    reasoning_tokens=8,
    total_tokens=52,
    cached_input_tokens=4,
    cost_usd=0.25,
)
EVERY_FIELD = Interaction(
    id=ID,
    user_id="ana",
    conversation_id="c-1",
    prompt=Prompt(
        messages=(
            Message(role=Role.USER, text="a?"),
            Message(role=Role.ASSISTANT, text="b."),
            Message(role=Role.USER, text="c?"),
        ),
        system="Be short.",
        model="alias",
        temperature=0.5,
        max_output_tokens=100,
        top_p=0.75,
        stop=("END",),
        seed=-7,
    ),
    requested_model="asked",
    model="answered",
    provider="p",
    text="d.",
    status=Status.TRUNCATED,
    finish_reason=FinishReason.LENGTH,
    usage=EVERY_COUNT,
    fallback_used=True,
    latency_seconds=1.5,
    time_to_first_token_seconds=0.5,
    attempts=(
        Attempt(provider="q", model="asked", outcome="timeout", seconds=1.0),
        Attempt(
            provider="p",
            model="answered",
            outcome="ok",
            seconds=0.5,
            http_status=200,
            usage=EVERY_COUNT,
        ),
    ),
    error="stream_broken",
)
STORED_BY_EARLIER_VERSIONS = (
    b'{"v":1,"id":"019aabb1-7c80-7000-8a51-0f1d2c3b4a59","userId":"ana","model":"answered","status":"truncated",'
    b'"seconds":1.5,"answered":true,"conversationId":"c-1","requested":"asked","provider":"p","text":"d.",'
    b'"finish":"length","fallback":true,"firstSeconds":0.5,"error":"stream_broken","usage":{"input":12,"output":40,'
    b'"reasoning":8,"total":52,"cachedInput":4,"costUsd":0.25},"attempts":[{"provider":"q","model":"asked",'
    b'"outcome":"timeout","seconds":1.0},{"provider":"p","model":"answered","outcome":"ok","seconds":0.5,"http":200,'
    b'"input":12,"output":40,"reasoning":8,"total":52,"cachedInput":4,"costUsd":0.25}],"messages":[["user","a?"],'
    b'["assistant","b."],["user","c?"]],"system":"Be short.","asked":"alias","temperature":0.5,"maxOutputTokens":100,'
    b'"topP":0.75,"stop":["END"],"seed":-7}'
)


def test_stored_bytes_are_those_of_earlier_versions() -> None:
    assert json_of(EVERY_FIELD) == STORED_BY_EARLIER_VERSIONS
    assert interaction_of(orjson.loads(STORED_BY_EARLIER_VERSIONS)) == EVERY_FIELD
    assert is_well_formed(orjson.loads(STORED_BY_EARLIER_VERSIONS))


def test_every_field_that_is_written_is_in_the_table_and_no_other_is() -> None:
    document = document_of(EVERY_FIELD)
    # one of the two holds the question
    assert set(document) | {"prompt"} == set(INTERACTION) | DERIVED
    assert set(document["usage"]) == set(USAGE)
    assert set(document["attempts"][1]) == set(ATTEMPT)


@pytest.mark.parametrize("name", sorted(INTERACTION))
def test_every_field_in_the_table_is_checked(name: str) -> None:
    assert not is_well_formed(document_of(EVERY_FIELD) | {name: None})


@pytest.mark.parametrize("name", sorted(set(INTERACTION) - REQUIRED - {"prompt", "messages"}))
def test_every_field_in_the_table_is_read(name: str) -> None:
    document = document_of(EVERY_FIELD)
    del document[name]
    assert interaction_of(document) != EVERY_FIELD


@pytest.mark.seen("C2")
@pytest.mark.parametrize(
    ("user_id", "is_right"),
    [
        ("ana", True),
        ("_a", True),
        ("-a", True),
        ("a=b~c|d+e", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("=a", False),
        ("a/b", False),
        ("ana\n", False),
        ("", False),
        (5, False),
        (None, False),
    ],
)
def test_a_message_has_a_user_id_as_every_door_takes_it(user_id: object, is_right: bool) -> None:
    assert is_well_formed({"id": ID, "userId": user_id}) is is_right
