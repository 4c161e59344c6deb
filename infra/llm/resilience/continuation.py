"""Builds the prompt that lets a model continue a broken answer."""

from dataclasses import replace

from domain.entities.items import Text
from domain.entities.prompt import Message, Prompt, Role


def continuing(prompt: Prompt, sent: str) -> Prompt:
    """Return `prompt` with the answer so far as its last message, exactly as it was sent.

    Where the prompt already ends with a partial answer of the assistant, that message is extended: two messages of the
    same role would be two turns. The limit on output tokens stays, since the tokens the broken call used are unknown.
    """
    *earlier, last = prompt.messages
    if last.role is Role.ASSISTANT:
        items = (*last.items, Text(text=sent)) if last.items else ()
        message = replace(last, text=last.text + sent, items=items)
        return replace(prompt, messages=(*earlier, message))
    return replace(prompt, messages=(*prompt.messages, Message(role=Role.ASSISTANT, text=sent)))
