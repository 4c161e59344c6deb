"""The request of each turn begins with that of the turn before, byte for byte, so that providers' prompt caches hit."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.entities.interaction import Interaction
from domain.entities.items import (
    LONG_TEXT_BYTES,
    Attachment,
    Item,
    ProviderMetadata,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    text_of,
    tool_calls,
)
from domain.entities.model import Model
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.tools import OF_CHATS, Tool
from domain.use_cases.accept_attachments import AcceptAttachments
from domain.use_cases.load_attachments import LoadAttachments
from domain.use_cases.load_contents import LoadContents
from domain.use_cases.recall_conversation import RecallConversation
from infra.history.format.documents import document_of, interaction_of
from infra.llm.providers.anthropic.request import request_body as anthropic_body
from infra.llm.providers.bedrock.request import request_body as bedrock_body
from infra.llm.providers.gemini.request import request_body as gemini_body
from infra.llm.providers.openai.request import request_body as openai_body
from infra.llm.transport.dialect import Dialect, in_dialect
from tests.fakes.attachments import InMemoryAttachments
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction

MODEL = Model(
    id="m",
    owned_by="p",
    context_tokens=1_000_000,
    max_output_tokens=1_000,
    capabilities=OF_CHATS,
)
TOOLS = (
    Tool(name="weather", description="Of a city", parameters='{"type": "object", "b": 1, "a": 2}'),
    Tool(name="now"),
)
VALUES = {
    "gemini": "c2lnbmVk",
    "openai": '{"reasoning_field":"reasoning_content"}',
    "anthropic": '{"signature":"c2lnbmVk"}',
    "bedrock": '{"signature":"c2lnbmVk"}',
}
LONG = "long " * LONG_TEXT_BYTES
DOCUMENTS = ("application/pdf", "text/plain")

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)


@st.composite
def answers(draw: st.DrawFn, kind: str) -> tuple[Item, ...]:
    """Draw the items of an answer that has text or calls."""
    mark = ProviderMetadata(kind=kind, family="f", value=VALUES[kind])
    items: list[Item] = []
    if draw(st.booleans()):
        items.append(Reasoning(text=draw(texts), metadata=mark))
    number = draw(st.integers(0, 3))
    if not number or draw(st.booleans()):
        signed = kind == "gemini" and draw(st.booleans())
        items.append(Text(text=draw(texts), metadata=mark if signed else None))
    for call in range(number):
        items.append(
            ToolCall(
                id=draw(st.sampled_from([f"call_{call}", f"toolu+{call}/{'x' * 70}"])),
                name=draw(st.sampled_from(["weather", "now"])),
                arguments=orjson.dumps(draw(st.dictionaries(texts, texts, max_size=2))).decode(),
                metadata=mark if kind == "gemini" and not call else None,
            )
        )
    return tuple(items)


long_texts = texts | texts.map(lambda text: text + LONG)


@st.composite
def files(draw: st.DrawFn, kind: str) -> Attachment:
    """Draw an image or a document, by its content or, where the API reads those, by its address."""
    if kind != "bedrock" and draw(st.booleans()):
        return Attachment(media_type="image/png", url="https://example.org/a.png")
    content = draw(st.binary(min_size=1, max_size=8))
    return Attachment(
        media_type=draw(st.sampled_from(["image/png", *DOCUMENTS])),
        content=content,
        size_bytes=len(content),
        name=draw(st.none() | texts),
    )


@st.composite
def messages(draw: st.DrawFn, kind: str, open_calls: Sequence[ToolCall]) -> Message:
    """Draw a message that answers all open calls, or none of them."""
    items: list[Item] = []
    if open_calls and draw(st.booleans()):
        for call in draw(st.permutations(open_calls)):
            items.append(
                ToolResult(call_id=call.id, output=draw(long_texts), is_error=draw(st.booleans()))
            )
    if not items or draw(st.booleans()):
        items.append(Text(text=draw(texts)))
        if draw(st.booleans()):
            items.append(draw(files(kind)))
    if len(items) == 1 and isinstance(items[0], Text):
        return Message(role=Role.USER, text=items[0].text)
    return Message(role=Role.USER, text=text_of(items), items=tuple(items))


@dataclass(frozen=True)
class Wire:
    """A format of requests.

    Attributes:
        write: Returns the body of a request.
        instructions: The fields that a provider reads before the messages.
        messages: The field of the messages.
    """

    kind: str
    write: Callable[[Prompt], bytes]
    instructions: tuple[str, ...]
    messages: str

    def pieces(self, prompt: Prompt) -> list[bytes]:
        """Return what a provider reads, in order."""
        body: dict[str, Any] = orjson.loads(self.write(prompt))
        return [
            *(orjson.dumps(body.get(name)) for name in self.instructions),
            *(orjson.dumps(message) for message in body[self.messages]),
        ]


def openai(dialect: Dialect) -> Wire:
    return Wire(
        kind="openai",
        write=lambda prompt: openai_body(
            in_dialect(prompt, dialect), dialect, model="m", family="f"
        ),
        instructions=("tools",),
        messages="messages",
    )


def bedrock(dialect: Dialect) -> Wire:
    return Wire(
        kind="bedrock",
        write=lambda prompt: bedrock_body(
            in_dialect(prompt, dialect), dialect, upstream="m", family="f", max_tokens=1000
        ),
        instructions=("toolConfig", "system"),
        messages="messages",
    )


WIRES = {
    "gemini": Wire(
        kind="gemini",
        write=lambda prompt: gemini_body(prompt, upstream="gemini-3-flash", family="f"),
        instructions=("systemInstruction", "tools"),
        messages="contents",
    ),
    "vertex": Wire(
        kind="gemini",
        write=lambda prompt: gemini_body(
            prompt, upstream="gemini-3-flash", family="f", has_call_ids=False
        ),
        instructions=("systemInstruction", "tools"),
        messages="contents",
    ),
    "openai": openai(Dialect()),
    "openai without a system role": openai(Dialect(system_role=False)),
    "openai with short ids": openai(
        Dialect(short_call_ids=True, reasoning_field="reasoning_content")
    ),
    "anthropic": Wire(
        kind="anthropic",
        write=lambda prompt: anthropic_body(
            prompt, Dialect(), model="claude-sonnet-4-6", family="f", max_tokens=1000
        ),
        instructions=("tools", "system"),
        messages="messages",
    ),
    "bedrock": bedrock(Dialect()),
    "bedrock without a system role": bedrock(Dialect(system_role=False)),
}


async def sent_prompt(
    history: InMemoryHistory, contents: InMemoryAttachments, prompt: Prompt
) -> Prompt:
    recall = RecallConversation(
        history=history,
        load_attachments=LoadAttachments(contents),
        load_contents=LoadContents(contents),
    )
    return await recall(prompt, "ana", "c", MODEL)


def reloaded(interaction: Interaction) -> Interaction:
    """Return the interaction as a later process reads it."""
    return interaction_of(orjson.loads(orjson.dumps(document_of(interaction))))


@pytest.mark.slow
@pytest.mark.parametrize("name", WIRES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_request_of_a_turn_begins_with_that_of_the_turn_before(
    name: str, data: st.DataObject
) -> None:
    with asyncio.Runner() as runner:
        runner.run(check_conversation(WIRES[name], data))


async def check_conversation(wire: Wire, data: st.DataObject) -> None:
    history, contents = InMemoryHistory(), InMemoryAttachments()
    accept = AcceptAttachments(contents)
    open_calls: Sequence[ToolCall] = ()
    earlier: list[bytes] = []
    options = Prompt(
        messages=(Message(role=Role.USER, text="x"),), system=data.draw(long_texts), tools=TOOLS
    )
    for number in range(data.draw(st.integers(2, 5))):
        asked = replace(options, messages=(data.draw(messages(wire.kind, open_calls)),))
        accepted = await accept.check(asked, "ana")
        await accept.store_all(accepted, "ana", an_id(number))
        prompt = accepted.prompt
        sent = wire.pieces(await sent_prompt(history, contents, prompt))
        assert sent[: len(earlier)] == earlier
        assert len(sent) > len(earlier)
        earlier = sent
        items = data.draw(answers(wire.kind))
        open_calls = tool_calls(items)
        interaction = an_interaction(
            number,
            id=an_id(number),
            conversation_id="c",
            prompt=prompt.for_storage(),
            text=text_of(items),
            items=items,
        )
        await history.append(reloaded(interaction))
