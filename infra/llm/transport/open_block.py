"""Blocks of an answer while they arrive, as the APIs of Anthropic and Amazon Bedrock send them."""

from collections.abc import Mapping
from types import MappingProxyType

import orjson

from domain.entities.items import ToolCall
from infra.llm.transport.errors.answer_errors import UnreadableAnswer
from infra.llm.transport.json_document import json_text
from infra.llm.transport.response_parser import CallIds


class OpenBlock:
    """A call, or reasoning with its signature, while it arrives.

    Args:
        is_call: It is a call.
        names: Names of tools by the names that they were sent with, of those sent under another.

    Attributes:
        is_call: It is a call.
        size_bytes: About the size of its arguments or signature.
    """

    __slots__ = ("_id", "_name", "_names", "_parts", "is_call", "size_bytes")

    def __init__(self, *, is_call: bool, names: Mapping[str, str] = MappingProxyType({})) -> None:
        self.is_call = is_call
        self._names = names
        self._id = ""
        self._name = ""
        self._parts: list[str] = []
        self.size_bytes = 0

    def begin_call(self, content: dict[str, object]) -> None:
        """Take the start of a call; some servers send all its arguments there."""
        self._name = text_of(content.get("name"))
        if not self._name:
            raise UnreadableAnswer("a call without a name")
        self._id = text_of(content.get("id"))
        self.size_bytes += len(self._id) + len(self._name)
        arguments = content.get("input")
        if arguments:
            self.add(arguments if isinstance(arguments, str) else json_text(arguments))

    def add(self, part: str) -> None:
        """Append to the arguments or the signature."""
        if part:
            self._parts.append(part)
            self.size_bytes += len(part.encode(errors="surrogatepass"))

    def text(self) -> str:
        """Return the arguments or the signature."""
        return "".join(self._parts)

    def is_whole(self) -> bool:
        """Return whether the arguments are the JSON of an object, which a part of one never is."""
        try:
            return isinstance(orjson.loads(self.text()), dict)
        except orjson.JSONDecodeError:
            return False

    def call(self, new_call_id: CallIds) -> ToolCall:
        """Return the call; its arguments may be invalid JSON, as sent."""
        arguments = self.text()
        return ToolCall(
            id=self._id or new_call_id(),
            name=self._names.get(self._name, self._name),
            arguments=arguments if arguments.strip() else "{}",
        )


def object_of(value: object) -> dict[str, object]:
    """Return a field of an event that has to be an object.

    Raises:
        UnreadableAnswer: It is not.
    """
    if type(value) is not dict:
        raise UnreadableAnswer("an event of a wrong shape")
    return value


def text_of(value: object) -> str:
    """Return a field of an event that has to be a string; empty if it is missing.

    Raises:
        UnreadableAnswer: It is not a string.
    """
    if value is None:
        return ""
    if type(value) is not str:
        raise UnreadableAnswer("a text that is not a string")
    return value
