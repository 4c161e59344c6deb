"""Converts a list of messages in OpenAI's format to messages of the domain."""

from collections.abc import Iterator, Sequence

from app.dto.media_types import MAX_ATTACHMENTS
from app.dto.openai_chat.content_parts import to_item
from app.dto.openai_chat.message import ChatMessage
from app.dto.openai_chat.tool_calls import metadata_in
from domain.entities.items import Item, Reasoning, Text, ToolCall, ToolResult, attachments
from domain.entities.prompt import Message, Role
from domain.exceptions import InvalidAttachment, InvalidInput, NoSuchOpenCall, ToolResultsMissing


def to_messages(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """Return the messages without instructions and without empty ones; consecutive results are one message.

    Raises:
        InvalidAttachment: A content part is not valid.
        ToolResultsMissing: A call is not answered by the messages right after it.
        NoSuchOpenCall: A result answers no call of the message before it, or answers it twice.
        InvalidInput: A result names no call, or two calls of a message have the same id.
    """
    return tuple(_converted(messages))


def _converted(messages: Sequence[ChatMessage]) -> Iterator[Message]:
    waiting: dict[str, str] = {}  # names of the calls without a result, by id
    results: list[Item] = []
    for number, message in enumerate(messages):
        if message.role in ("tool", "function"):
            results.append(_result(message, number, waiting))
            continue
        if message.role in ("system", "developer") or message.is_empty:
            continue
        if waiting:
            raise ToolResultsMissing(list(waiting))
        if results:
            yield Message(role=Role.USER, text="", items=tuple(results))
            results = []
        if message.role == "user":
            yield _question(message, number)
            continue
        calls = _calls(message, number)
        waiting = {call.id: call.name for call in calls}
        if len(waiting) < len(calls):
            raise InvalidInput(f"messages.{number}.tool_calls", "ids must be unique")
        yield _answer(message, calls)
    if waiting:
        raise ToolResultsMissing(list(waiting))
    if results:
        yield Message(role=Role.USER, text="", items=tuple(results))


def _question(message: ChatMessage, number: int) -> Message:
    if not message.content_parts:
        return Message(role=Role.USER, text=message.content)
    items: list[Item] = []
    for position, part in enumerate(message.content_parts):
        try:
            items.append(to_item(part))
        except InvalidAttachment as exc:
            field = f"messages.{number}.content.{position}"
            raise InvalidAttachment(exc.message, field=field) from exc
    if len(attachments(items)) > MAX_ATTACHMENTS:
        raise InvalidInput(f"messages.{number}.content", f"at most {MAX_ATTACHMENTS} files")
    return Message(role=Role.USER, text=message.content, items=tuple(items))


def _answer(message: ChatMessage, calls: Sequence[ToolCall]) -> Message:
    reasoning = message.reasoning_text
    if not calls and not reasoning:
        return Message(role=Role.ASSISTANT, text=message.content)
    items: list[Item] = []
    if reasoning:
        items.append(Reasoning(text=reasoning))
    if message.content:
        items.append(Text(text=message.content))
    return Message(role=Role.ASSISTANT, text=message.content, items=(*items, *calls))


def _calls(message: ChatMessage, number: int) -> list[ToolCall]:
    calls = [
        ToolCall(
            id=call.id,
            name=call.function.name,
            arguments=call.function.arguments or "{}",
            metadata=metadata_in(call.extra_content),
        )
        for call in message.tool_calls or ()
    ]
    if message.function_call is not None and not calls:
        function = message.function_call
        calls = [
            ToolCall(id=f"call_{number}", name=function.name, arguments=function.arguments or "{}")
        ]
    return calls


def _result(message: ChatMessage, number: int, waiting: dict[str, str]) -> ToolResult:
    """Return the result in a message, and remove its call from those that wait for one."""
    call_id = message.tool_call_id
    if message.role == "function":  # the older form names the function instead
        call_id = next((known for known, name in waiting.items() if name == message.name), None)
        if call_id is None:
            raise InvalidInput(f"messages.{number}.name", "must name the function called before")
    elif call_id is None:
        raise InvalidInput(f"messages.{number}.tool_call_id", "Field required")
    elif call_id not in waiting:
        raise NoSuchOpenCall(f"messages.{number}.tool_call_id", [call_id])
    del waiting[call_id]
    return ToolResult(call_id=call_id, output=message.content)
