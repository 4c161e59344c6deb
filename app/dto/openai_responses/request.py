"""Request body of POST /v1/responses."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.dto.alternatives import by_shape
from app.dto.json_schema import arguments_fault, schema_fault
from app.dto.openai_responses.input_items import InputReader
from app.dto.texts import check_total, checked_text
from app.dto.wire import reject_nul
from domain.entities.caller import Caller, to_user_id
from domain.entities.items import OutputItem
from domain.entities.prompt import Message, Prompt, PromptCaching, Role
from domain.entities.tools import ReasoningEffort, ResponseFormat, Tool, ToolChoice, ToolMode
from domain.exceptions import InvalidInput, UnsupportedInput
from domain.interfaces.sealer import Sealer

_LENIENT = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)
_MAX_METADATA_PAIRS = 16
_MAX_TOOLS = 128
_NAME_CHARACTERS = 64
_ENCRYPTED = "reasoning.encrypted_content"

MetadataName = Annotated[str, Field(max_length=64), AfterValidator(reject_nul)]
MetadataValue = Annotated[str, Field(max_length=512), AfterValidator(reject_nul)]
Metadata = Annotated[dict[MetadataName, MetadataValue], Field(max_length=_MAX_METADATA_PAIRS)]


_Items = list[dict[str, Any]]
_Object = dict[str, Any]


class TextOptions(BaseModel):
    """The form of the text of an answer."""

    model_config = _LENIENT

    format: dict[str, Any] | None = Field(
        default=None,
        description="`text`, `json_object`, or `json_schema` with a name and a schema.",
    )


class ReasoningOptions(BaseModel):
    """How much the model reasons."""

    model_config = _LENIENT

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = Field(
        default=None, description="Not sent to the provider when absent."
    )


class ConversationReference(BaseModel):
    """A conversation by its id."""

    model_config = _LENIENT

    id: str = Field(description="As in `conversation.id` of a response.")


class ResponseRequest(BaseModel):
    """Body of POST /v1/responses; fields that are not listed are ignored."""

    model_config = ConfigDict(
        **_LENIENT,
        json_schema_extra={"examples": [{"input": "Explain event loops in one sentence."}]},
    )

    input: Annotated[
        str | _Items, by_shape(lambda value: _Items if isinstance(value, list) else str)
    ] = Field(
        description="A text, or items: messages, function_call, function_call_output, reasoning, item_reference."
    )
    model: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="An id or alias of GET /v1/models; the default model when absent."
    )
    instructions: str | None = Field(
        default=None,
        description="System instructions; those of earlier responses are not taken over.",
    )
    previous_response_id: str | None = Field(
        default=None, description="Response to continue. Not together with `conversation`."
    )
    conversation: Annotated[
        str | ConversationReference | None,
        by_shape(lambda value: ConversationReference if isinstance(value, dict) else str),
    ] = Field(default=None, description="Conversation to continue, by its id.")
    store: bool | None = Field(
        default=None,
        description="false: the content of the request and of the answer is not stored.",
    )
    background: bool | None = Field(
        default=None,
        description="true: the answer continues if the client disconnects; needs `store`.",
    )
    stream: bool | None = Field(default=None, description="true: send events as they come.")
    tools: list[dict[str, Any]] | None = Field(
        default=None, max_length=_MAX_TOOLS, description="Functions that the model may call."
    )
    tool_choice: Annotated[
        str | _Object | None, by_shape(lambda value: _Object if isinstance(value, dict) else str)
    ] = Field(
        default=None, description="`auto`, `none`, `required`, a function, or `allowed_tools`."
    )
    parallel_tool_calls: bool | None = Field(
        default=None, description="Whether one answer may have several calls."
    )
    max_output_tokens: int | None = Field(
        default=None, ge=1, description="Maximum number of tokens in the answer."
    )
    temperature: float | None = Field(default=None, ge=0.0, le=2.0, description="0.0 to 2.0.")
    top_p: float | None = Field(default=None, ge=0.0, le=1.0, description="0.0 to 1.0.")
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    include: list[str] | None = Field(
        default=None, description="`reasoning.encrypted_content`: items that can be sent back."
    )
    metadata: Metadata | None = Field(
        default=None, description="Up to 16 pairs of strings, stored and returned."
    )
    user: str | None = Field(
        default=None,
        description="User whose history stores the response, if the credentials are not bound to one.",
    )
    safety_identifier: str | None = Field(default=None, description="Used when `user` is absent.")
    prompt_cache_key: str | None = Field(
        default=None,
        max_length=1024,
        description="Cache key of requests with a common beginning, for providers that support it.",
    )
    prompt: Any = Field(default=None, description="Not supported.")
    moderation: Any = Field(default=None, description="Not supported.")

    @property
    def conversation_id(self) -> str | None:
        """Id of the conversation, as the client knows it."""
        if isinstance(self.conversation, ConversationReference):
            return self.conversation.id
        return self.conversation

    @property
    def is_sealed(self) -> bool:
        """Whether the client requests the metadata of the answer."""
        return _ENCRYPTED in (self.include or ())

    def resolve_user_id(self, caller: Caller, continued: str | None) -> str:
        """Return the id of the user that owns the response.

        It is the user the caller is bound to, else `user` or `safety_identifier`, else the user of the continued turn,
        else the caller's principal.
        """
        if caller.user_id is not None:
            return caller.user_id
        name = self.user or self.safety_identifier
        if name:
            return to_user_id(name)
        return continued or caller.principal

    def referenced_items(self) -> list[str]:
        """Return the ids in the item references of the input."""
        if isinstance(self.input, str):
            return []
        return [str(item.get("id")) for item in self.input if item.get("type") == "item_reference"]

    def check(self) -> None:
        """Check that the request uses only supported fields and tools.

        Raises:
            UnsupportedInput: A field or a tool is not supported.
            InvalidInput: Fields contradict each other.
        """
        for name in ("prompt", "moderation"):
            if getattr(self, name) is not None:
                raise UnsupportedInput(name)
        if self.background and self.store is False:
            raise InvalidInput("background", "needs store")
        if self.previous_response_id is not None and self.conversation is not None:
            raise InvalidInput("previous_response_id", "not together with conversation")

    def to_prompt(
        self,
        *,
        user_id: str,
        sealer: Sealer,
        referenced: Mapping[str, Sequence[OutputItem]],
        drops_unknown_tools: bool,
    ) -> Prompt:
        """Return the prompt with its generation options.

        Args:
            user_id: For sealed reasoning.
            sealer: Of this installation.
            referenced: The output items that references name.
            drops_unknown_tools: Leave out tools that are not supported instead of refusing them.

        Raises:
            DomainError: The input is not valid.
        """
        instructions = (
            [checked_text(self.instructions, "instructions")] if self.instructions else []
        )
        if isinstance(self.input, str):
            if not self.input:
                raise InvalidInput("input", "must not be empty")
            messages = [Message(role=Role.USER, text=checked_text(self.input, "input"))]
        else:
            reader = InputReader(
                user_id=user_id,
                sealer=sealer,
                referenced=referenced,
                is_continued=(self.previous_response_id or self.conversation) is not None,
            )
            read = reader.read(self.input)
            messages, instructions = read.messages, [*instructions, *read.instructions]
        if not any(message.role is Role.USER for message in messages):
            raise InvalidInput("input", "must contain a message of role user or a result")
        system = "\n\n".join(instructions)
        check_total(messages, system, "input")
        tools = self._tools(drops_unknown_tools)
        return Prompt(
            messages=tuple(messages),
            system=system,
            model=self.model,
            temperature=self.temperature,
            max_output_tokens=self.max_output_tokens,
            top_p=self.top_p,
            tools=tools,
            tool_choice=_choice(self.tool_choice, tools),
            parallel_tool_calls=self.parallel_tool_calls if tools else None,
            response_format=None if self.text is None else _format(self.text.format),
            reasoning_effort=None
            if self.reasoning is None or self.reasoning.effort is None
            else ReasoningEffort(self.reasoning.effort),
            keeps_input=len(messages) > 1,  # one message is stored in any case
            caching=PromptCaching(key=self.prompt_cache_key) if self.prompt_cache_key else None,
        )

    def _tools(self, drops_unknown_tools: bool) -> tuple[Tool, ...]:
        tools: list[Tool] = []
        for number, tool in enumerate(self.tools or ()):
            kind = tool.get("type")
            if kind != "function":
                if drops_unknown_tools and isinstance(kind, str):
                    continue
                raise UnsupportedInput(f"tools.{number}.type", str(kind)[:_NAME_CHARACTERS])
            tools.append(_tool(tool, f"tools.{number}"))
        if len({tool.name for tool in tools}) < len(tools):
            raise InvalidInput("tools", "names must be unique")
        return tuple(tools)


def _tool(tool: Mapping[str, Any], where: str) -> Tool:
    name, description = tool.get("name"), tool.get("description") or ""
    parameters, strict = tool.get("parameters"), tool.get("strict")
    if not _is_name(name):
        raise InvalidInput(f"{where}.name", "must be 1 to 64 letters, digits, _ and -")
    if not isinstance(description, str) or "\0" in description:
        raise InvalidInput(f"{where}.description", "should be a text")
    if strict is not None and not isinstance(strict, bool):
        raise InvalidInput(f"{where}.strict", "should be true or false")
    if parameters is not None:
        _check_parameters(parameters, f"{where}.parameters")
    text = None if parameters is None else orjson.dumps(parameters).decode()
    return Tool(name=str(name), description=description, parameters=text, is_strict=strict)


def _choice(choice: str | dict[str, Any] | None, tools: Sequence[Tool]) -> ToolChoice | None:
    if choice is None or not tools:
        return None
    if isinstance(choice, str):
        if choice not in tuple(ToolMode):
            raise InvalidInput("tool_choice", "one of: auto, none, required")
        return ToolChoice(mode=ToolMode(choice))
    kind = choice.get("type")
    if kind == "function":
        named, mode = [choice], ToolMode.REQUIRED
    elif kind == "allowed_tools" and choice.get("mode") in ("auto", "required"):
        allowed = choice.get("tools")
        named, mode = allowed if isinstance(allowed, list) else [], ToolMode(choice["mode"])
    else:
        raise UnsupportedInput("tool_choice.type", str(kind)[:_NAME_CHARACTERS])
    names = tuple([str(tool.get("name")) for tool in named if isinstance(tool, dict)])
    if not names or not {tool.name for tool in tools}.issuperset(names):
        raise InvalidInput("tool_choice", "must name functions of tools")
    return ToolChoice(mode=mode, names=names)


def _format(wanted: Mapping[str, Any] | None) -> ResponseFormat | None:
    kind = None if wanted is None else wanted.get("type")
    if wanted is None or kind == "text":
        return None
    if kind == "json_object":
        return ResponseFormat()
    if kind != "json_schema":
        raise UnsupportedInput("text.format.type", str(kind)[:_NAME_CHARACTERS])
    name, schema, strict = wanted.get("name"), wanted.get("schema"), wanted.get("strict")
    if not _is_name(name):
        raise InvalidInput("text.format.name", "must be 1 to 64 letters, digits, _ and -")
    if not isinstance(schema, dict):
        raise InvalidInput("text.format.schema", "must be a JSON Schema")
    if (fault := schema_fault(schema)) is not None:
        raise InvalidInput("text.format.schema", fault)
    description = wanted.get("description")
    return ResponseFormat(
        schema=orjson.dumps(schema).decode(),
        name=str(name),
        description=description if isinstance(description, str) else "",
        is_strict=strict if isinstance(strict, bool) else None,
    )


def _is_name(value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= _NAME_CHARACTERS
        and value.isascii()
        and all(character.isalnum() or character in "_-" for character in value)
    )


def _check_parameters(value: object, where: str) -> None:
    if not isinstance(value, dict):
        raise InvalidInput(where, "must be a JSON Schema of an object")
    if (fault := arguments_fault(value)) is not None:
        raise InvalidInput(where, fault)
