"""Turns with attachments and long texts, and their contents."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.entities.interaction import Interaction
from domain.entities.items import (
    LONG_TEXT,
    LONG_TEXT_BYTES,
    Attachment,
    Text,
    ToolCall,
    ToolResult,
    attachment_id,
)
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.tools import Tool
from domain.interfaces.attachments import AttachmentStore, StoredContent
from infra.history.transfer.long_texts import separate_long_texts
from tests.fakes.interactions import an_interaction

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 200
PDF = b"%PDF-1.7\n" + b"\0\xff\n\r" * 3000
LONG = "São Paulo, «Pará» \U0001f600 " * (LONG_TEXT_BYTES // 16)

Contents = Mapping[str, StoredContent]


def a_turn_with_contents(
    number: int = 0, *, image: bytes = PNG, **changes: Any
) -> tuple[Interaction, Contents]:
    """Return an interaction as it is stored, and the contents that it refers to by id."""
    turn = an_interaction(number, **changes)
    user_id = turn.user_id
    files = [("image/png", image, "photo.png"), ("application/pdf", PDF, None)]
    attached = tuple(
        Attachment(
            id=attachment_id(user_id, content),
            media_type=media_type,
            size_bytes=len(content),
            name=name,
        )
        for media_type, content, name in files
    )
    reference = Attachment(media_type="image/png", url="https://example.com/x.png")
    text = f"question {number}"
    whole = replace(
        turn,
        prompt=Prompt(
            messages=(
                Message(
                    role=Role.USER,
                    text=text,
                    items=(
                        ToolResult(call_id="call_0", output=f'{{"a": "{LONG}"}}', is_json=True),
                        ToolResult(call_id="call_1", output=LONG, is_error=True),
                        *attached,
                        reference,
                        Text(text=text),
                    ),
                ),
            ),
            system=f"Be brief. {LONG}",
            tools=(Tool(name="find", description=LONG), Tool(name="now", is_strict=True)),
        ),
        items=(
            Text(text=turn.text),
            ToolCall(id="call_2", name="find", arguments=f'{{ "q" : "{LONG}" }}'),
            ToolCall(id="call_3", name="now", arguments="{}"),
        ),
    )
    kept, texts = separate_long_texts(whole)
    contents = {
        attachment_id(user_id, content): StoredContent(media_type=media_type, content=content)
        for media_type, content, _ in files
    }
    for content_id, content in texts.items():
        contents[content_id] = StoredContent(media_type=LONG_TEXT, content=content)
    return kept, contents


async def put_all(store: AttachmentStore, interaction: Interaction, contents: Contents) -> None:
    """Store the contents of an interaction."""
    for content_id in interaction.content_ids:
        await store.put(
            interaction.user_id,
            content_id,
            contents[content_id],
            interaction_id=interaction.id,
        )
