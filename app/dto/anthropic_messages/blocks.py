"""Converts messages in Anthropic's format to messages of the domain."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from app.dto.attachments import attachment_of_data, attachment_of_url
from app.dto.media_types import MAX_ATTACHMENTS
from app.dto.texts import checked_text
from domain.entities.items import (
    Attachment,
    Item,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    attachments,
    text_of,
)
from domain.entities.prompt import BETWEEN_QUESTIONS, CacheMark, Message, Role
from domain.exceptions import (
    InvalidAttachment,
    InvalidInput,
    NoSuchOpenCall,
    ToolResultsMissing,
)
from domain.interfaces.sealer import Sealer

JsonObject = Mapping[str, Any]

THINKING = "thinking"
_TTLS = ("5m", "1h")
_BILLING = "x-anthropic-billing-header:"
"""Start of a block that some agents put before their instructions; its content changes with every request."""


def cache_mark_of(block: Any, position: int) -> tuple[CacheMark, ...]:
    """Return the cache mark at `position` that `cache_control` of a block, a tool or a request sets; None without it."""
    control = block.get("cache_control")
    if not isinstance(control, Mapping) or control.get("type") != "ephemeral":
        return ()
    ttl = control.get("ttl")
    return (CacheMark(position=position, ttl=ttl if ttl in _TTLS else ""),)


def marked_instructions(
    system: Any, field_name: str = "system"
) -> tuple[list[str], tuple[CacheMark, ...]]:
    """Return the texts of system instructions, and the marks in them, by the number of texts up to each.

    Raises:
        InvalidInput: They have another form.
    """
    if system is None:
        return [], ()
    if isinstance(system, str):
        blocks: Sequence[Any] = [{"type": "text", "text": system}]
    else:
        blocks = system
    if not isinstance(blocks, list):
        raise InvalidInput(field_name, "should be a text or a list of text blocks")
    texts: list[str] = []
    marks: list[CacheMark] = []
    for number, block in enumerate(blocks):
        text = block.get("text") if isinstance(block, Mapping) else None
        if not isinstance(text, str):
            raise InvalidInput(f"{field_name}.{number}", "should be a text block")
        if text and not text.startswith(_BILLING):
            texts.append(checked_text(text, f"{field_name}.{number}.text"))
            marks += cache_mark_of(block, len(texts))
    return texts, tuple(marks)


def instructions_of(system: Any, field_name: str = "system") -> list[str]:
    """Return the texts of system instructions: a text or text blocks.

    Raises:
        InvalidInput: They have another form.
    """
    return marked_instructions(system, field_name)[0]


@dataclass(slots=True)
class _Draft:
    """The items of a message, and its marks by the number of items before them."""

    role: Role
    items: list[Item]
    marks: list[CacheMark] = field(default_factory=list)

    def extend(self, items: list[Item], marks: Sequence[CacheMark]) -> None:
        """Add the items of the next message, which has the same role."""
        before = len(self.items)
        self.marks += [replace(mark, position=mark.position + before) for mark in marks]
        self.items += _after(self.items, items)

    def message(self) -> Message:
        """Return the message, with tool results first."""
        order = sorted(
            range(len(self.items)), key=lambda n: not isinstance(self.items[n], ToolResult)
        )
        has_more = any(not isinstance(item, Text) for item in self.items)
        marks: tuple[CacheMark, ...] = ()
        if self.marks:
            marks = tuple([self._placed(mark, order, has_items=has_more) for mark in self.marks])
        return Message(
            role=self.role,
            text=text_of(self.items),
            items=tuple([self.items[n] for n in order]) if has_more else (),
            cache_marks=marks,
        )

    def _placed(self, mark: CacheMark, order: Sequence[int], *, has_items: bool) -> CacheMark:
        if has_items:
            return replace(mark, position=order.index(mark.position - 1) + 1)
        return replace(mark, position=len(text_of(self.items[: mark.position])))


class MessageReader:
    """Reads messages in order; consecutive ones of a role are merged.

    Args:
        user_id: For the signatures of thinking blocks.
        sealer: Of this installation.
    """

    def __init__(self, *, user_id: str, sealer: Sealer) -> None:
        self.instructions: list[str] = []
        self._user_id = user_id
        self._sealer = sealer
        self._messages: list[_Draft] = []

    def read(self, messages: Sequence[JsonObject]) -> tuple[Message, ...]:
        """Return the messages; system messages among them are in `instructions`.

        Raises:
            InvalidInput: A message or a block has not the form of Anthropic's API.
            ToolResultsMissing: A tool_use block has no tool_result in the next message.
            NoSuchOpenCall: A tool_result block answers no tool_use of the message before.
        """
        for number, message in enumerate(messages):
            role, where = message.get("role"), f"messages.{number}"
            if role == "system":
                self.instructions += instructions_of(message.get("content"), f"{where}.content")
                continue
            if role not in ("user", "assistant"):
                raise InvalidInput(f"{where}.role", "one of: user, assistant")
            marks: list[CacheMark] = []
            items = self._items(message.get("content"), f"{where}.content", marks)
            _check_places(items, role, f"{where}.content")
            if self._messages and self._messages[-1].role == role:
                self._messages[-1].extend(items, marks)
            elif items:
                self._messages.append(_Draft(Role(role), items, marks))
        return tuple(self._paired())

    def _paired(self) -> list[Message]:
        """Return the messages, after checking that each call has its result in the next one."""
        paired: list[Message] = []
        waiting: list[str] = []
        for draft in self._messages:
            items = draft.items
            results = [item for item in items if isinstance(item, ToolResult)]
            answered = [result.call_id for result in results]
            repeated = [call_id for call_id, count in Counter(answered).items() if count > 1]
            if unknown := [call_id for call_id in answered if call_id not in waiting] + repeated:
                raise NoSuchOpenCall("messages", unknown)
            if missing := [call_id for call_id in waiting if call_id not in answered]:
                raise ToolResultsMissing(missing)
            waiting = [item.id for item in items if isinstance(item, ToolCall)]
            if len(set(waiting)) < len(waiting):
                raise InvalidInput("messages", "ids of tool_use blocks must be unique in a message")
            if len(attachments(items)) > MAX_ATTACHMENTS:
                raise InvalidInput("messages", f"at most {MAX_ATTACHMENTS} files in a message")
            paired.append(draft.message())
        if waiting:
            raise ToolResultsMissing(waiting)
        return paired

    def _items(self, content: Any, where: str, marks: list[CacheMark] | None = None) -> list[Item]:
        """Return the items of a content; its marks are added to `marks`."""
        if isinstance(content, str):
            return [Text(text=checked_text(content, where))] if content else []
        if not isinstance(content, list):
            raise InvalidInput(where, "should be a text or a list of blocks")
        items: list[Item] = []
        for number, block in enumerate(content):
            if not isinstance(block, Mapping):
                raise InvalidInput(f"{where}.{number}", "should be a block")
            try:
                items += self._block(block, f"{where}.{number}")
            except InvalidAttachment as exc:
                raise InvalidAttachment(exc.message, field=f"{where}.{number}") from exc
            if items and marks is not None:
                marks += cache_mark_of(block, len(items))
        return items

    def _block(self, block: JsonObject, where: str) -> list[Item]:
        """Return the items of a block; none for types that are ignored, such as those of server tools."""
        match block.get("type"):
            case "text":
                text = block.get("text")
                if not isinstance(text, str):
                    raise InvalidInput(f"{where}.text", "Field required")
                return [Text(text=checked_text(text, f"{where}.text"))] if text else []
            case "image" | "document":
                return [_file(block, where)]
            case "tool_use":
                return [_call(block, where)]
            case "tool_result":
                return self._result(block, where)
            case "thinking":
                return self._thinking(block)
        return []

    def _result(self, block: JsonObject, where: str) -> list[Item]:
        call_id = block.get("tool_use_id")
        if not isinstance(call_id, str) or not call_id:
            raise InvalidInput(f"{where}.tool_use_id", "Field required")
        content = block.get("content")
        items = [] if content is None else self._items(content, f"{where}.content")
        result = ToolResult(
            call_id=call_id, output=text_of(items), is_error=block.get("is_error") is True
        )
        return [result, *[item for item in items if isinstance(item, Attachment)]]

    def _thinking(self, block: JsonObject) -> list[Item]:
        """Return the reasoning of a block that was made here; others are dropped."""
        text, signature = block.get("thinking"), block.get("signature")
        if not isinstance(text, str) or not isinstance(signature, str) or not text:
            return []
        if self._sealer.open(signature, THINKING, self._user_id, text) is None:
            return []
        return [Reasoning(text=text)]


def _check_places(items: Sequence[Item], role: str, where: str) -> None:
    """Check that a message has no items of the other role."""
    of_assistant = [isinstance(item, ToolCall | Reasoning) for item in items]
    of_user = [isinstance(item, ToolResult | Attachment) for item in items]
    if any(of_assistant if role == "user" else of_user):
        raise InvalidInput(where, "has a block that belongs in a message of the other role")


def _after(earlier: Sequence[Item], items: list[Item]) -> list[Item]:
    """Return the items of a message that follows one of the same role, with its text as a paragraph of its own."""
    if not text_of(earlier):
        return items
    position = next((n for n, item in enumerate(items) if isinstance(item, Text)), None)
    if position is None:
        return items
    text = Text(text=BETWEEN_QUESTIONS + text_of(items[position : position + 1]))
    return [*items[:position], text, *items[position + 1 :]]


def _call(block: JsonObject, where: str) -> ToolCall:
    call_id, name, arguments = block.get("id"), block.get("name"), block.get("input")
    for field_name, value in (("id", call_id), ("name", name)):
        if not isinstance(value, str) or not value or "\0" in value:
            raise InvalidInput(f"{where}.{field_name}", "should be a text")
    if arguments is not None and not isinstance(arguments, Mapping):
        raise InvalidInput(f"{where}.input", "should be an object")
    return ToolCall(
        id=str(call_id), name=str(name), arguments=orjson.dumps(arguments or {}).decode()
    )


def _file(block: JsonObject, where: str) -> Attachment:
    source, title = block.get("source"), block.get("title")
    name = title if isinstance(title, str) and "\0" not in title else None
    if not isinstance(source, Mapping):
        raise InvalidInput(f"{where}.source", "Field required")
    media_type = source.get("media_type")
    match source.get("type"):
        case "base64" if isinstance(data := source.get("data"), str):
            return attachment_of_data(data, str(media_type), name)
        case "url" if isinstance(url := source.get("url"), str):
            fallback = "application/pdf" if block.get("type") == "document" else None
            return attachment_of_url(url, fallback, name)
        case "text" if isinstance(text := source.get("data"), str):
            return _document(text, name, where)
        case "content" if source.get("content"):
            return _document("\n\n".join(instructions_of(source["content"], where)), name, where)
    raise InvalidInput(f"{where}.source.type", "one of: base64, url, text, content")


def _document(text: str, name: str | None, where: str) -> Attachment:
    """Return a text document.

    Raises:
        InvalidInput: It is empty or too long.
    """
    content = checked_text(text, f"{where}.source").encode()
    if not content:
        raise InvalidInput(f"{where}.source", "must not be empty")
    return Attachment(media_type="text/plain", name=name, size_bytes=len(content), content=content)
