"""Prompts and the messages they consist of."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import takewhile

from domain.entities.items import (
    Attachment,
    Item,
    Text,
    ToolCall,
    ToolResult,
    size_bytes,
    tool_calls,
    tool_results,
)
from domain.entities.tools import (
    Capability,
    ReasoningEffort,
    ResponseFormat,
    Tool,
    ToolChoice,
    ToolMode,
)
from domain.immutable import immutable

BETWEEN_QUESTIONS = "\n\n"
"""Separates questions that are sent as one message."""


class Role(StrEnum):
    """Author of a message. Tool results are in messages of the user."""

    USER = "user"
    ASSISTANT = "assistant"


# On Python 3.11 a lookup in the class takes forty times as long, and these are made for every chat.
_USER = Role.USER


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMark:
    """Marks the end of a part of a request that the provider should cache; other providers ignore it.

    Attributes:
        position: Distance from the beginning or the end, in the unit of the field that contains it.
        ttl: How long, as the caller stated it; empty for the provider's default.
    """

    position: int
    ttl: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCaching:
    """The caller's options for the provider's prompt cache; not stored with the prompt.

    Attributes:
        key: Requests with the same key have a common beginning; None without one.
        system: Marks in the instructions, by the number of characters after them.
        tools: Marks in the list of tools, by the number of tools before them.
        whole: Mark of the whole request; None without one.
    """

    key: str | None = None
    system: tuple[CacheMark, ...] = ()
    tools: tuple[CacheMark, ...] = ()
    whole: CacheMark | None = None


@immutable
class Message:
    """One message of a conversation, as sent to the model.

    Attributes:
        text: The text of the message, or of all its text items.
        items: All items in order; empty if the message is its text alone.
        cache_marks: By the number of items before them, or of characters where there are no items; not stored.
    """

    role: Role
    text: str
    items: tuple[Item, ...] = ()
    cache_marks: tuple[CacheMark, ...] = field(default=(), compare=False)

    @property
    def content(self) -> tuple[Item, ...]:
        """The items; the text as an item if there is nothing else."""
        if self.items:
            return self.items
        return (Text(text=self.text),) if self.text else ()

    @property
    def size_bytes(self) -> int:
        """The size of the content in UTF-8."""
        return size_bytes(self.items) if self.items else len(self.text.encode())

    @property
    def is_empty(self) -> bool:
        """Whether the message has neither text nor items."""
        return not self.text and not self.items


@immutable
class Prompt:
    """A question with its context and sampling settings; None leaves a setting to the provider's default.

    Attributes:
        messages: Oldest first; at least one of the user.
        system: System instructions; empty for none.
        model: Requested catalogue id or alias; None for the default model.
        temperature: 0.0 to 2.0.
        max_output_tokens: Upper bound of output tokens, reasoning included.
        stop: Stop sequences.
        tools: Tools that the model may call.
        parallel_tool_calls: Whether one answer may have several calls.
        response_format: JSON that the answer must be; None for any text.
        system_content_id: Id of long instructions, which are stored like attachments.
        tools_content_id: Id of a long list of tools, which is stored like attachments.
        keeps_input: All messages of the caller are stored, since later turns continue from them; otherwise the new
            one alone, since the next request contains the others again.
        own_messages: With `keeps_input`: the caller's messages if `messages` also contains earlier ones; else empty.
        own_system: The caller's own instructions if `system` also contains those of the conversation; else None.
        own_message: The caller's own message if the last user message also contains earlier ones; else None.
        caching: Options for the provider's prompt cache; not stored.
    """

    messages: tuple[Message, ...]
    system: str = ""
    model: str | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: ReasoningEffort | None = None
    system_content_id: str | None = None
    tools_content_id: str | None = None
    keeps_input: bool = False
    own_messages: tuple[Message, ...] = ()
    own_system: str | None = None
    own_message: Message | None = None
    caching: PromptCaching | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for message in self.messages:
            if message.role is _USER:
                return
        raise ValueError("a prompt needs a message of the user")

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        system: str = "",
        model: str | None = None,
        temperature: float | None = None,
        max_output_tokens: int | None = None,
    ) -> "Prompt":
        """Return a prompt with one user message."""
        return cls(
            messages=(Message(role=_USER, text=text),),
            system=system,
            model=model,
            temperature=temperature,
            max_output_tokens=max_output_tokens,
        )

    @property
    def new_message(self) -> Message:
        """The new message, which is stored: the user messages after the last answer, joined.

        If the prompt ends with a partial answer to continue, it is the last user message.
        """
        if self.own_message is not None:
            return self.own_message
        if len(self.messages) == 1:
            return self.messages[0]
        position = len(self.messages)
        while position and self.messages[position - 1].role is Role.USER:
            position -= 1
        if position == len(self.messages):
            return next(m for m in reversed(self.messages) if m.role is Role.USER)
        return _joined(self.messages[position:])

    @property
    def text(self) -> str:
        """The text of the new message."""
        return self.new_message.text

    @property
    def new_items(self) -> tuple[Item, ...]:
        """The items of all messages that are stored; empty if these are text alone."""
        if not self.keeps_input:
            return self.new_message.items
        messages = self.own_messages or self.messages
        return tuple([item for message in messages for item in message.items])

    @property
    def results(self) -> tuple[ToolResult, ...]:
        """The tool results in the new message."""
        return tool_results(self.new_message.items)

    @property
    def opening_results(self) -> tuple[ToolResult, ...]:
        """The tool results that answer the turn before: those before the first answer among the stored messages."""
        if not self.keeps_input:
            return self.results
        messages = takewhile(lambda m: m.role is Role.USER, self.own_messages or self.messages)
        return tool_results([item for message in messages for item in message.items])

    @property
    def may_call_tools(self) -> bool:
        """Whether the answer may have tool calls."""
        if not self.tools:
            return False
        return self.tool_choice is None or self.tool_choice.mode is not ToolMode.NONE

    def for_storage(self) -> "Prompt":
        """Return the prompt as stored in history: the new messages and its settings, without earlier ones.

        The bytes of attachments are stored elsewhere.
        """
        if self.own_system is not None:
            return replace(self, system=self.own_system, own_system=None).for_storage()
        if self.keeps_input:
            messages = tuple(map(_without_bytes, self.own_messages or self.messages))
            return replace(
                self,
                messages=messages,
                keeps_input=len(messages) > 1,
                own_messages=(),
                own_message=None,
            )
        message = _without_bytes(self.new_message)
        if len(self.messages) == 1 and self.own_message is None and message is self.messages[0]:
            return self
        return replace(self, messages=(message,), own_message=None)

    def with_history(
        self, earlier: Sequence[Message], settled: Sequence[ToolResult] = ()
    ) -> "Prompt":
        """Return this prompt with `earlier` messages before its own.

        Consecutive user messages are joined into one, since some models reject two messages of the same role in a
        row. `own_message` then holds the current message alone.

        Args:
            earlier: Oldest first.
            settled: Results of unanswered calls at the end of `earlier`; they become part of the new message.
        """
        own = self.new_message
        messages = list(self.messages)
        if settled:
            own = replace(own, items=(*settled, *own.content))
            position = next(n for n, m in enumerate(messages) if m.role is Role.USER)
            first = messages[position]
            messages[position] = replace(first, items=(*settled, *first.content))
        joined: list[Message] = []
        for message in (*earlier, *messages):
            if joined and joined[-1].role is message.role is Role.USER:
                joined[-1] = _joined((joined[-1], message))
            else:
                joined.append(message)
        sent = replace(self, messages=tuple(joined), own_message=None)
        if self.keeps_input:
            sent = replace(sent, own_messages=tuple(messages))
        return sent if sent.new_message == own else replace(sent, own_message=own)

    def with_texts_in_row(self, content_ids: Collection[str]) -> "Prompt":
        """Return this prompt with its long texts of these ids stored with the interaction itself."""
        return replace(
            self,
            system_content_id=_unless_in(content_ids, self.system_content_id),
            tools_content_id=_unless_in(content_ids, self.tools_content_id),
            messages=tuple([_with_texts_in_row(each, content_ids) for each in self.messages]),
            own_messages=tuple(
                [_with_texts_in_row(each, content_ids) for each in self.own_messages]
            ),
            own_message=None
            if self.own_message is None
            else _with_texts_in_row(self.own_message, content_ids),
        )

    def with_instructions(self, instructions: Sequence[str]) -> "Prompt":
        """Return this prompt with the instructions of its conversation before its own; they are not stored with it."""
        if not instructions:
            return self
        texts = [*instructions, self.system] if self.system else instructions
        return replace(self, system=BETWEEN_QUESTIONS.join(texts), own_system=self.system)

    @property
    def size_bytes(self) -> int:
        """The size in UTF-8 of everything that the model reads."""
        size = len(self.system.encode())
        for tool in self.tools:
            size += len(tool.name) + len(tool.description.encode())
            size += len((tool.parameters or "").encode())
        if self.response_format is not None:
            size += len((self.response_format.schema or "").encode())
        for message in self.messages:
            size += message.size_bytes
        return size

    def required_capabilities(self) -> frozenset[Capability]:
        """Return the capabilities that a model needs for this prompt; most need none."""
        if not self.tools and self.response_format is None:
            for message in self.messages:
                if message.items:
                    break
            else:
                return _NO_CAPABILITIES
        needed = {Capability.TOOLS} if self.tools else set()
        if self.response_format is not None:
            needed.add(Capability.JSON_SCHEMA)
        for message in self.messages:
            for item in message.items:
                if isinstance(item, ToolCall | ToolResult):
                    needed.add(Capability.TOOLS)
                elif isinstance(item, Attachment) and item.capability is not None:
                    needed.add(item.capability)
        return frozenset(needed)


_NO_CAPABILITIES: frozenset[Capability] = frozenset()


def _without_bytes(message: Message) -> Message:
    if not message.items or not any(
        isinstance(item, Attachment) and item.content for item in message.items
    ):
        return message
    items = [
        replace(item, content=None) if isinstance(item, Attachment) else item
        for item in message.items
    ]
    return replace(message, items=tuple(items))


def open_calls(messages: Sequence[Message]) -> tuple[ToolCall, ...]:
    """Return the tool calls of the last message, which the next message has to answer."""
    return tool_calls(messages[-1].items) if messages else ()


def _joined(messages: Sequence[Message]) -> Message:
    """Return consecutive messages of the user as one: results first, as providers demand, then the rest."""
    if len(messages) == 1:
        return messages[0]
    text = BETWEEN_QUESTIONS.join([message.text for message in messages if message.text])
    if not any(message.items for message in messages):
        return Message(role=Role.USER, text=text)
    results: list[Item] = []
    others: list[Item] = []
    has_text = False
    for message in messages:
        needs_separator = has_text and bool(message.text)
        for item in message.content:
            if isinstance(item, ToolResult):
                results.append(item)
            elif isinstance(item, Text) and needs_separator:
                others.append(replace(item, text=BETWEEN_QUESTIONS + item.text))
                needs_separator = False
            else:
                others.append(item)
        has_text = has_text or bool(message.text)
    return Message(role=Role.USER, text=text, items=(*results, *others))


def _unless_in(content_ids: Collection[str], content_id: str | None) -> str | None:
    return None if content_id in content_ids else content_id


def _with_texts_in_row(message: Message, content_ids: Collection[str]) -> Message:
    if not any(isinstance(item, ToolResult) and item.content_id for item in message.items):
        return message
    items = [
        replace(item, content_id=_unless_in(content_ids, item.content_id))
        if isinstance(item, ToolResult)
        else item
        for item in message.items
    ]
    return replace(message, items=tuple(items))
