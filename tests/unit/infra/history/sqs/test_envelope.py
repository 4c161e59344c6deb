"""Messages: what goes in comes out, nothing else gets in."""

import asyncio
import base64
import json
import random
import zlib
from typing import Any

import pytest
from hypothesis import given, settings

from domain.entities.interaction import Interaction, Status
from domain.entities.items import ToolCall
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.tools import Tool
from infra.history.format.documents import document_of
from infra.history.sqs.envelope import (
    MAX_DOCUMENT_BYTES,
    MAX_MESSAGE_BYTES,
    UnreadableMessage,
    interaction_from,
    message_of,
)
from tests.fakes.interactions import a_tool_turn, an_id, an_interaction, any_interactions


@settings(deadline=None)
@given(any_interactions)
def test_what_goes_in_comes_out_and_is_ascii(interaction: Interaction) -> None:
    async def there_and_back() -> None:
        message = await message_of(interaction)
        assert message is not None
        assert message.isascii()
        assert not set(message) & {chr(code) for code in range(32)}
        assert json.loads(message)["id"] == interaction.id
        assert await interaction_from(message) == interaction

    asyncio.run(there_and_back())


@pytest.mark.parametrize(
    ("text", "version"),
    [("x" * 60_000, 1), ("x" * 70_000, 2), ("€\0" * 500_000, 2)],
    ids=["short", "long", "long and odd"],
)
async def test_long_ones_are_compressed(text: str, version: int) -> None:
    interaction = an_interaction(text=text)
    message = await message_of(interaction)

    assert message is not None
    assert json.loads(message)["v"] == version
    assert len(message) < 66_000
    assert await interaction_from(message) == interaction


@pytest.mark.parametrize(
    ("changes", "version"),
    [
        ({"items": (ToolCall(id="a", name="b", arguments="c" * 60_000),), "text": ""}, 3),
        ({"items": (ToolCall(id="a", name="b", arguments="c" * 70_000),), "text": ""}, 4),
        ({"previous_id": an_id(1)}, 3),
        ({"metadata": {"a": "b"}}, 3),
        ({"prompt": Prompt(messages=(Message(role=Role.USER, text="q"),), tools=(Tool(name="t"),))}, 3),
        ({"prompt": a_tool_turn().prompt}, 3),
        ({"text": "", "is_content_stored": False}, 3),
    ],
)  # fmt: skip
async def test_workers_of_the_version_before_leave_items_alone(
    changes: dict[str, Any], version: int
) -> None:
    """They know the versions 1 and 2, and bury all others."""
    message = await message_of(an_interaction(**changes))
    assert message is not None
    assert json.loads(message)["v"] == version


@pytest.mark.parametrize(("words", "version"), [(1, 5), (70_000, 6)], ids=["short", "long"])
@pytest.mark.parametrize("changes", [{}, {"metadata": {"a": "b"}}], ids=["plain", "with items"])
async def test_workers_of_the_version_before_leave_answers_in_progress_alone(
    words: int, version: int, changes: dict[str, Any]
) -> None:
    """They know the versions up to 4, and would not replace the stored interaction by its outcome."""
    interaction = an_interaction(
        status=Status.IN_PROGRESS, prompt=Prompt.from_text("x" * words), **changes
    )
    message = await message_of(interaction)
    assert message is not None
    assert json.loads(message)["v"] == version
    assert await interaction_from(message) == interaction


async def test_what_stays_too_long_is_not_made_into_a_message() -> None:
    chance = random.Random(1)

    def noise(characters: int) -> str:
        return "".join([chr(chance.randrange(0x10000, 0x110000)) for _ in range(characters)])

    just = await message_of(an_interaction(text=noise(130_000)))
    assert just is not None
    assert 600_000 < len(just) <= MAX_MESSAGE_BYTES
    assert await message_of(an_interaction(text=noise(230_000))) is None
    assert await message_of(an_interaction(text="x" * MAX_DOCUMENT_BYTES)) is None


def enveloped(**changes: Any) -> dict[str, Any]:
    return {"v": 1, "id": an_id(), "interaction": document_of(an_interaction()) | changes}


def packed(raw: bytes) -> dict[str, Any]:
    return {"v": 2, "id": an_id(), "zlib": base64.b64encode(zlib.compress(raw)).decode()}


POISON: dict[str, Any] = {
    "empty": "",
    "not JSON": "{",
    "a lone surrogate": json.dumps(enveloped(text="\ud800")),
    "no object": "[1]",
    "no version": {"id": an_id()},
    "an unknown version": enveloped() | {"v": 7},
    "a version of another type": enveloped() | {"v": "1"},
    "no interaction": {"v": 1, "id": an_id()},
    "a document of a newer version": enveloped(v=99),
    "an id that is none": enveloped(id="1"),
    "an id of another version": enveloped(id="0199a1b2-0000-4000-8000-000000000000"),
    "a user that is none": enveloped(userId="a#b"),
    "a user that is too long": enveloped(userId="a" * 129),
    "a status that is none": enveloped(status="done"),
    "a number for a text": enveloped(text=5),
    "a text for a number": enveloped(seconds="1"),
    "a model that is too long": enveloped(model="m" * 1000),
    "usage that is none": enveloped(usage=[1]),
    "usage of texts": enveloped(usage={"input": "1"}),
    "attempts that are none": enveloped(attempts="x"),
    "an attempt that is none": enveloped(attempts=[1]),
    "an attempt of lists": enveloped(attempts=[{"provider": []}]),
    "an attempt whose counts are text": enveloped(attempts=[{"provider": "p", "input": "3"}]),
    "an attempt whose counts are nested": enveloped(attempts=[{"usage": {"input": 3}}]),
    "messages that are none": enveloped(prompt=None, messages=["x"]),
    "messages of numbers": enveloped(prompt=None, messages=[[1, 2]]),
    "no prompt": {"v": 1, "interaction": {k: v for k, v in document_of(an_interaction()).items() if k != "prompt"}},
    "stops that are none": enveloped(stop="x"),
    "not base64": {"v": 2, "zlib": "%"},
    "not compressed": {"v": 2, "zlib": base64.b64encode(b"x" * 100).decode()},
    "cut off": {"v": 2, "zlib": packed(b"x" * 10_000)["zlib"][:-8]},
    "compressed, but not JSON": packed(b"x"),
    "a bomb": packed(b" " * (MAX_DOCUMENT_BYTES + 1)),
    "nothing packed": {"v": 2},
}  # fmt: skip


@pytest.mark.parametrize("name", POISON)
async def test_poison_is_told_from_messages_without_a_word_of_it(name: str) -> None:
    poison = POISON[name] if isinstance(POISON[name], str) else json.dumps(POISON[name])
    with pytest.raises(UnreadableMessage) as caught:
        await interaction_from(poison)

    assert str(caught.value) in {
        "not JSON",
        "not of a version this program knows",
        "not an interaction",
        "not an interaction this program knows",
        "damaged",
        "too long",
    }


async def test_what_a_newer_program_added_is_ignored() -> None:
    message = json.dumps(enveloped(added={"a": 1}) | {"also": [1]})
    assert await interaction_from(message) == an_interaction()
