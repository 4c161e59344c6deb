"""Joins the fragments of tool calls, which servers send in many shapes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import orjson

from domain.entities.items import ProviderMetadata, ToolCall
from infra.llm.providers.openai.request import EXTRA
from infra.llm.transport.errors.answer_errors import UnreadableAnswer
from infra.llm.transport.json_document import json_text

_MAX_CALLS = 256  # of one answer; OpenAI takes 128 tools
_WRAPPERS = ("multi_tool_use.parallel", "parallel")
_WRAPPED_PREFIX = "functions."


class CallFragments:
    """The tool calls of one answer, while they arrive.

    A fragment belongs to the call with its `index`, else to the last one. It begins another call if it has a new id, as
    some servers send the same index for every call; and without an id if it has another name, or the same name and
    arguments although those so far are complete. The first non-empty id and name count; servers repeat them.

    Args:
        metadata: Returns the metadata with a value.
        new_call_id: Creates ids for calls that come without one.
        names: Names of tools by the names that they were sent with, of those sent under another.

    Attributes:
        size_bytes: About the size of all arguments.
        is_begun: Whether there is a call.
    """

    def __init__(
        self,
        metadata: Callable[[dict[str, object]], ProviderMetadata],
        new_call_id: Callable[[], str],
        names: Mapping[str, str],
    ) -> None:
        self._metadata = metadata
        self._new_call_id = new_call_id
        self._names = names
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self.size_bytes = 0

    @property
    def is_begun(self) -> bool:
        return bool(self._calls)

    def take(self, message: dict[str, object]) -> None:
        """Add the calls of a delta or a message.

        Raises:
            UnreadableAnswer: A call has a wrong shape.
        """
        fragments = message.get("tool_calls")
        if fragments:
            if isinstance(fragments, dict):
                fragments = [fragments]
            if not isinstance(fragments, list):
                raise UnreadableAnswer("calls of a wrong shape")
            for fragment in fragments:
                self._take(fragment)
        elif function := message.get("function_call"):  # the older form, of one call
            self._take({"index": 0, "function": function})

    def complete(self, *, may_be_cut: bool) -> list[ToolCall]:
        """Return the calls; their arguments may be invalid JSON, as sent.

        Args:
            may_be_cut: The answer was, so that only calls whose arguments are the JSON of an object are complete.

        Raises:
            UnreadableAnswer: A call has no name.
        """
        calls = self._calls
        if may_be_cut:
            last = len(calls) - 1
            calls = [
                call
                for position, call in enumerate(calls)
                if call.is_whole() or (position < last and not call.has_arguments)
            ]
        complete = [
            whole for call in calls for whole in call.complete(self._metadata, self._new_call_id)
        ]
        if not self._names:
            return complete
        return [replace(call, name=self._names.get(call.name, call.name)) for call in complete]

    def _take(self, fragment: object) -> None:
        if not isinstance(fragment, dict):
            raise UnreadableAnswer("a call of a wrong shape")
        function = fragment.get("function")
        if function is None:
            function = {}
        if not isinstance(function, dict):
            raise UnreadableAnswer("a call of a wrong shape")
        call_id = _first_text(fragment.get("id"), function.get("id"))
        name = _first_text(function.get("name"))
        arguments = function.get("arguments")
        if arguments and not isinstance(arguments, str):
            arguments = json_text(arguments)  # an object, as some servers send it
        call = self._call(fragment.get("index"), call_id, name, arguments)
        self.size_bytes += call.add(call_id, name, arguments, fragment.get(EXTRA))

    def _call(self, index: object, call_id: str, name: str, arguments: object) -> "_Call":
        """Return the call that a fragment belongs to."""
        known = None
        if isinstance(index, int):
            known = self._by_index.get(index)
        elif self._calls:
            known = self._calls[-1]
        if call_id:
            for call in self._calls:
                if call.id == call_id:
                    return call
        if known is not None:
            is_same = not call_id or not known.id
            if is_same and not (name and known.is_followed_by(name, arguments)):
                return known
        if len(self._calls) == _MAX_CALLS:
            raise UnreadableAnswer("too many calls")
        call = _Call()
        self._calls.append(call)
        if isinstance(index, int):
            self._by_index[index] = call
        return call


class _Call:
    """One call, while it arrives."""

    __slots__ = ("_arguments", "_extra", "_name", "id")

    def __init__(self) -> None:
        self.id = ""
        self._name = ""
        self._arguments: list[str] = []
        self._extra: object = None

    @property
    def has_arguments(self) -> bool:
        return bool(self._arguments)

    def is_whole(self) -> bool:
        """Return whether the arguments are the JSON of an object, which a part of one never is."""
        try:
            return isinstance(orjson.loads("".join(self._arguments)), dict)
        except orjson.JSONDecodeError:
            return False

    def is_followed_by(self, name: str, arguments: object) -> bool:
        """Return whether a fragment without an id begins another call."""
        if self._name and name != self._name:
            return True
        return bool(arguments) and self.has_arguments and self.is_whole()

    def add(self, call_id: str, name: str, arguments: object, extra: object) -> int:
        """Add a fragment; return its size in bytes."""
        size_bytes = 0
        if not self.id:
            self.id = call_id
            size_bytes += len(call_id)
        if not self._name:
            self._name = name
            size_bytes += len(name)
        self._extra = extra or self._extra
        if isinstance(arguments, str) and arguments:
            self._arguments.append(arguments)
            size_bytes += len(arguments.encode(errors="surrogatepass"))
        return size_bytes

    def complete(
        self,
        metadata: Callable[[dict[str, object]], ProviderMetadata],
        new_call_id: Callable[[], str],
    ) -> Iterator[ToolCall]:
        """Yield the call, or the calls that it wraps."""
        if not self._name:
            raise UnreadableAnswer("a call without a name")
        arguments = "".join(self._arguments)
        if not arguments.strip():
            arguments = "{}"
        if self._name in _WRAPPERS and (wrapped := list(_wrapped(arguments, new_call_id))):
            yield from wrapped
            return
        yield ToolCall(
            id=self.id or new_call_id(),
            name=self._name,
            arguments=arguments,
            metadata=metadata({EXTRA: self._extra}) if self._extra else None,
        )


def _wrapped(arguments: str, new_call_id: Callable[[], str]) -> Iterator[ToolCall]:
    """Yield the calls inside a call of `multi_tool_use.parallel`, which some models of OpenAI invent."""
    try:
        document = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return
    uses = document.get("tool_uses") if isinstance(document, dict) else None
    for use in uses if isinstance(uses, list) else ():
        name = use.get("recipient_name") if isinstance(use, dict) else None
        if isinstance(name, str):
            parameters = json_text(use.get("parameters") or {})
            yield ToolCall(
                id=new_call_id(), name=name.removeprefix(_WRAPPED_PREFIX), arguments=parameters
            )


def _first_text(*values: object) -> str:
    return next((value for value in values if isinstance(value, str) and value), "")
