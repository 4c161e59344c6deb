"""Converts input items in OpenAI's Responses format to messages of the domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.dto.attachments import attachment_of_data, attachment_of_url
from app.dto.openai_chat.content_parts import attachment_of_data_url, to_item
from app.dto.openai_responses.sealed_items import open_metadata, with_sealed
from app.dto.texts import checked_text
from domain.entities.items import (
    Attachment,
    Item,
    OutputItem,
    ProviderMetadata,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    text_of,
)
from domain.entities.prompt import Message, Role
from domain.exceptions import (
    InvalidAttachment,
    InvalidInput,
    NoSuchOpenCall,
    ToolResultsMissing,
    UnsupportedInput,
)
from domain.interfaces.sealer import Sealer

JsonObject = Mapping[str, Any]

_TEXTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
_ROLES = ("user", "assistant", "system", "developer")


@dataclass(slots=True)
class InputMessages:
    """The messages of a list of input items.

    Attributes:
        messages: Without instructions and empty ones; results are in messages of the user.
        instructions: Texts of system and developer messages, in order.
    """

    messages: list[Message] = field(default_factory=list)
    instructions: list[str] = field(default_factory=list)


class InputReader:
    """Reads input items in order.

    Args:
        user_id: For sealed reasoning.
        sealer: Of this installation.
        referenced: The output items that references name, by their ids.
        is_continued: Results at the start may answer the calls of the turn before.
        is_partial: Other items may follow later, so calls may have no result yet.
    """

    def __init__(
        self,
        *,
        user_id: str,
        sealer: Sealer,
        referenced: Mapping[str, Sequence[OutputItem]],
        is_continued: bool,
        is_partial: bool = False,
    ) -> None:
        self._user_id = user_id
        self._sealer = sealer
        self._referenced = referenced
        self._is_continued = is_continued
        self._is_partial = is_partial
        self._field_name = "input"
        self._result = InputMessages()
        self._answer: list[Item] = []
        self._results: list[Item] = []
        self._open_calls: list[str] = []
        self._metadata: dict[str, ProviderMetadata] = {}

    def read(
        self, items: Sequence[JsonObject], *, field_name: str = "input", first_number: int = 0
    ) -> InputMessages:
        """Return the messages.

        Args:
            items: The items.
            field_name: Field of the request that they are in, for errors.
            first_number: Position of the first one there.

        Raises:
            InvalidInput: An item has not the form of OpenAI's API.
            UnsupportedInput: An item is of a type that this service does not know.
            NoSuchOpenCall: A result answers no call.
            ToolResultsMissing: A call in the list has no result.
        """
        for item in items:
            if item.get("type") == "reasoning" and isinstance(
                sealed := item.get("encrypted_content"), str
            ):
                for opened in open_metadata(sealed, self._user_id, self._sealer):
                    if isinstance(opened, ToolCall) and opened.metadata is not None:
                        self._metadata[opened.id] = opened.metadata
        self._field_name = field_name
        for number, item in enumerate(items, first_number):
            try:
                self._take(item, number)
            except InvalidAttachment as exc:
                raise InvalidAttachment(
                    exc.message, field=f"{self._field_name}.{number}.content"
                ) from exc
        self._end_answer()
        self._end_results()
        if self._open_calls and not self._is_partial:
            raise ToolResultsMissing(self._open_calls)
        return self._result

    def _take(self, item: JsonObject, number: int) -> None:
        kind = item.get("type") or ("message" if "role" in item else None)
        match kind:
            case "message":
                self._take_message(item, number)
            case "function_call":
                self._take_call(item, number)
            case "function_call_output":
                self._take_output(item, number)
            case "reasoning":
                self._take_reasoning(item)
            case "item_reference":
                self._take_reference(item, number)
            case str():
                raise UnsupportedInput(f"{self._field_name}.{number}.type")
            case _:
                raise InvalidInput(f"{self._field_name}.{number}.type", "Field required")

    def _take_message(self, item: JsonObject, number: int) -> None:
        role = item.get("role")
        if role not in _ROLES:
            raise InvalidInput(f"{self._field_name}.{number}.role", f"one of: {', '.join(_ROLES)}")
        parts = _parts(item.get("content"), f"{self._field_name}.{number}.content")
        text = text_of(parts)
        if not parts:
            return
        if role in ("system", "developer"):
            self._result.instructions.append(text)
        elif role == "assistant":
            self._begin_answer()
            self._answer += [part for part in parts if isinstance(part, Text)]
        else:
            self._end_answer()
            self._end_results()
            if self._open_calls:
                raise ToolResultsMissing(self._open_calls)
            items = tuple(parts) if any(isinstance(part, Attachment) for part in parts) else ()
            self._result.messages.append(Message(role=Role.USER, text=text, items=items))

    def _take_call(self, item: JsonObject, number: int) -> None:
        call_id, name = item.get("call_id"), item.get("name")
        arguments = item.get("arguments") or "{}"
        for field_name, value in (("call_id", call_id), ("name", name), ("arguments", arguments)):
            if not isinstance(value, str) or not value or "\0" in value:
                raise InvalidInput(f"{self._field_name}.{number}.{field_name}", "should be a text")
        self._begin_answer()
        self._answer.append(
            ToolCall(
                id=str(call_id),
                name=str(name),
                arguments=str(arguments),
                metadata=self._metadata.get(str(call_id)),
            )
        )

    def _take_output(self, item: JsonObject, number: int) -> None:
        call_id = item.get("call_id")
        if not isinstance(call_id, str) or not call_id:
            raise InvalidInput(f"{self._field_name}.{number}.call_id", "Field required")
        self._end_answer()
        if call_id in self._open_calls:
            self._open_calls.remove(call_id)
        elif not self._is_continued or self._result.messages:
            raise NoSuchOpenCall(f"{self._field_name}.{number}.call_id", [call_id])
        parts = _parts(item.get("output"), f"{self._field_name}.{number}.output")
        self._results.append(ToolResult(call_id=call_id, output=text_of(parts)))
        self._results += [part for part in parts if isinstance(part, Attachment)]

    def _take_reasoning(self, item: JsonObject) -> None:
        self._begin_answer()
        sealed = item.get("encrypted_content")
        if isinstance(sealed, str):
            opened = open_metadata(sealed, self._user_id, self._sealer)
            if any(not isinstance(item, ToolCall) for item in opened):
                self._answer = with_sealed(self._answer, opened)
                return
        texts = [*_list(item.get("content")), *_list(item.get("summary"))]
        text = "".join([part["text"] for part in texts if isinstance(part.get("text"), str)])
        if text:
            self._answer.append(Reasoning(text=text))

    def _take_reference(self, item: JsonObject, number: int) -> None:
        referenced = self._referenced.get(str(item.get("id")))
        if referenced is None:
            raise InvalidInput(f"{self._field_name}.{number}.id", "no item with this id")
        self._begin_answer()
        self._answer += referenced

    def _begin_answer(self) -> None:
        self._end_results()
        if self._open_calls:
            raise ToolResultsMissing(self._open_calls)

    def _end_answer(self) -> None:
        items, self._answer = self._answer, []
        if not items:
            return
        self._open_calls = [item.id for item in items if isinstance(item, ToolCall)]
        has_more = any(not isinstance(item, Text) or item.metadata is not None for item in items)
        self._result.messages.append(
            Message(
                role=Role.ASSISTANT, text=text_of(items), items=tuple(items) if has_more else ()
            )
        )

    def _end_results(self) -> None:
        results, self._results = self._results, []
        if results:
            self._result.messages.append(Message(role=Role.USER, text="", items=tuple(results)))


def _parts(content: Any, field_name: str) -> list[Text | Attachment]:
    """Return the items of a content: a text, or a list of parts."""
    if isinstance(content, str):
        return [Text(text=checked_text(content, field_name))] if content else []
    if content is None:
        return []
    if not isinstance(content, list):
        raise InvalidInput(field_name, "should be a text or a list of parts")
    parts: list[Text | Attachment] = []
    for number, part in enumerate(content):
        where = f"{field_name}.{number}"
        if not isinstance(part, Mapping):
            raise InvalidInput(where, "should be a content part")
        found = _part(part, where)
        if not isinstance(found, Text) or found.text:
            parts.append(found)
    return parts


def _part(part: JsonObject, where: str) -> Text | Attachment:
    kind = part.get("type")
    if isinstance(kind, str) and kind in _TEXTS:
        text = part.get(_TEXTS[kind])
        if not isinstance(text, str):
            raise InvalidInput(where, "should be a content part with a text")
        return Text(text=checked_text(text, where))
    if kind == "input_image":
        url = part.get("image_url")
        if not isinstance(url, str):
            raise InvalidInput(where, "needs an image_url; file_id is not supported")
        if url.startswith("data:"):
            return attachment_of_data_url(url)
        return attachment_of_url(url, None)
    if kind == "input_file":
        return _file(part, where)
    if kind == "input_audio":
        return to_item(part)
    raise UnsupportedInput(f"{where}.type")


def _file(part: JsonObject, where: str) -> Attachment:
    name, data, url = part.get("filename"), part.get("file_data"), part.get("file_url")
    name = name if isinstance(name, str) else None
    if isinstance(url, str):
        return attachment_of_url(url, None, name)
    if not isinstance(data, str):
        raise InvalidInput(where, "needs file_data or file_url; file_id is not supported")
    if data.startswith("data:"):
        return attachment_of_data_url(data, name)
    return attachment_of_data(data, "application/pdf", name)


def _list(value: Any) -> list[JsonObject]:
    return [part for part in value if isinstance(part, Mapping)] if isinstance(value, list) else []
