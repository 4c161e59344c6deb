"""Consecutive messages of the user, as one."""

from itertools import product

from domain.entities.items import Item, Text, ToolResult, text_of
from domain.entities.prompt import Message, Prompt, Role

_RESULT = ToolResult(call_id="a", output="b")
_CONTENTS: list[tuple[Item, ...]] = [
    (),
    (Text(text=""),),
    (_RESULT,),
    (_RESULT, Text(text="")),
    (Text(text="x"), _RESULT, Text(text="y")),
    (Text(text=""), Text(text="z")),
]


def test_the_text_of_joined_messages_is_that_of_their_items() -> None:
    for contents in product(_CONTENTS, repeat=3):
        messages = tuple(
            Message(role=Role.USER, text=text_of(items), items=items) for items in contents
        )
        joined = Prompt(messages=messages).new_message
        assert text_of(joined.content) == joined.text, contents
