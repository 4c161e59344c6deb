"""Chats with attachments against the complete application over fakes."""

import base64
import struct
import zlib
from typing import Any

import httpx2

from app.middleware.access_gate import GateRules
from domain.entities.items import Attachment, attachments
from domain.entities.model import Model
from domain.entities.tools import Capability
from domain.interfaces.attachments import AttachmentStore
from domain.interfaces.credentials import Authenticator
from tests.fakes.application import ApplicationUnderTest, SeveralModels
from tests.http.tool_chats import ANSWER

SEES = frozenset({Capability.IMAGES, Capability.FILES, Capability.AUDIO})
MODELS = SeveralModels(
    Model(id="m", owned_by="p", capabilities=SEES),
    Model(id="blind", owned_by="p"),
    Model(id="images", owned_by="p", capabilities=frozenset({Capability.IMAGES})),
    Model(id="tools", owned_by="p", capabilities=frozenset({Capability.TOOLS})),
    Model(id="all", owned_by="p", capabilities=SEES | {Capability.TOOLS}),
    Model(id="files", owned_by="p", capabilities=frozenset({Capability.FILES})),
)
PDF = b"%PDF-1.7\n1 0 obj\n"
WAV = b"RIFF\x24\0\0\0WAVEfmt "
TEXT = "Zürich".encode()


def png(number: int = 0, size_bytes: int = 0) -> bytes:
    """Return a picture of one point, with a comment of so many bytes."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes([0, number]))),
        (b"tEXt", b"Comment\0" + b"x" * size_bytes),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def native(content: bytes, media_type: str = "image/png", **more: Any) -> dict[str, Any]:
    """Return an attachment of the native format."""
    return {"mediaType": media_type, "data": encoded(content), **more}


def data_url(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{encoded(content)}"


def image_part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def application(
    attachments: AttachmentStore | None,
    *,
    authenticator: Authenticator | None = None,
    rules: GateRules | None = None,
) -> ApplicationUnderTest:
    return ApplicationUnderTest(
        *ANSWER,
        catalogue=MODELS,
        attachments=attachments,
        authenticator=authenticator,
        rules=rules,
    )


async def chat(
    client: httpx2.AsyncClient,
    *attached: dict[str, Any],
    headers: dict[str, str] | None = None,
    **body: Any,
) -> httpx2.Response:
    """Send these attachments to the native route."""
    sent = {"userId": "ana", "userPrompt": "What is it?", "attachments": list(attached), **body}
    return await client.post("/v1/chat", json=sent, headers=headers or {})


async def complete(
    client: httpx2.AsyncClient, *parts: dict[str, Any], **body: Any
) -> httpx2.Response:
    """Send these parts and a question to the route in OpenAI's format."""
    content = [{"type": "text", "text": "What is it?"}, *parts]
    messages = [{"role": "user", "content": content}]
    return await client.post(
        "/v1/chat/completions", json={"user": "ana", "messages": messages, **body}
    )


def sent_to_model(app: ApplicationUnderTest, number: int = -1) -> tuple[Attachment, ...]:
    """Return the attachments of the last message that the model was asked with."""
    return attachments(app.llm.asked[number].messages[-1].items)
