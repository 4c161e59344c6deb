"""Request body of POST /v1/messages."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.dto.alternatives import by_shape
from app.dto.anthropic_messages.blocks import (
    MessageReader,
    cache_mark_of,
    marked_instructions,
)
from app.dto.json_schema import arguments_fault, schema_fault
from app.dto.texts import check_total
from app.dto.wire import UserId, reject_nul
from domain.entities.caller import Caller, to_user_id
from domain.entities.prompt import BETWEEN_QUESTIONS, CacheMark, Prompt, PromptCaching, Role
from domain.entities.tools import ReasoningEffort, ResponseFormat, Tool, ToolChoice, ToolMode
from domain.exceptions import InvalidInput
from domain.interfaces.sealer import Sealer

_LENIENT = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)
_MAX_TOOLS = 512
_MODES = {"auto": ToolMode.AUTO, "any": ToolMode.REQUIRED, "none": ToolMode.NONE}
# Budgets of thinking tokens up to which an effort is requested; above the last one, the highest effort.
_BUDGETS = ((2048, ReasoningEffort.LOW), (8192, ReasoningEffort.MEDIUM))


class MessageMetadata(BaseModel):
    """Metadata of the request."""

    model_config = _LENIENT

    user_id: str | None = Field(
        default=None,
        max_length=2048,
        description="User whose history stores the answer, if the credentials are not bound to one.",
    )
    conversation_id: UserId | None = Field(
        default=None, description="Conversation of the user that the interaction is added to."
    )


class OutputConfig(BaseModel):
    """The effort and the form of the answer."""

    model_config = _LENIENT

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = Field(
        default=None, description="How much the model reasons; mapped to the model's own setting."
    )
    format: dict[str, Any] | None = Field(
        default=None, description="`json_schema` with a `schema` that the answer fits."
    )


class CountRequest(BaseModel):
    """Body of POST /v1/messages/count_tokens; fields that are not listed are ignored."""

    model_config = ConfigDict(
        **_LENIENT,
        json_schema_extra={
            "examples": [
                {
                    "model": "demo",
                    "messages": [{"role": "user", "content": "Explain event loops."}],
                }
            ]
        },
    )

    model: Annotated[str, Field(max_length=256)] = Field(
        description="An id or alias of GET /v1/models.", examples=["demo"]
    )
    messages: list[dict[str, Any]] = Field(
        min_length=1, description="The conversation so far, oldest first, in Anthropic's format."
    )
    system: Annotated[
        str | list[Any] | None,
        by_shape(lambda value: list[Any] if isinstance(value, list) else str),
    ] = Field(default=None, description="System instructions: a text or text blocks.")
    tools: list[dict[str, Any]] | None = Field(
        default=None,
        max_length=_MAX_TOOLS,
        description="Functions that the model may call; tools of Anthropic's servers are left out.",
    )
    tool_choice: dict[str, Any] | None = Field(
        default=None, description="`auto`, `any`, `none`, or `tool` with a name."
    )
    thinking: dict[str, Any] | None = Field(
        default=None, description="`enabled` with a budget, `adaptive` or `disabled`."
    )
    cache_control: dict[str, Any] | None = Field(
        default=None,
        description="`ephemeral`: the provider is asked to cache the request, if it supports that. Blocks and tools may have it too.",
    )

    def to_prompt(self, *, user_id: str, sealer: Sealer) -> Prompt:
        """Return the prompt.

        Args:
            user_id: For the signatures of thinking blocks.
            sealer: Of this installation.

        Raises:
            DomainError: A field is not valid.
        """
        reader = MessageReader(user_id=user_id, sealer=sealer)
        messages = reader.read(self.messages)
        if not any(message.role is Role.USER for message in messages):
            raise InvalidInput("messages", "must contain a message of role user")
        texts, system_marks = marked_instructions(self.system)
        system = BETWEEN_QUESTIONS.join([*texts, *reader.instructions])
        check_total(messages, system, "messages")
        tools = self._tools()
        choice = self.tool_choice or {}
        parallel = False if choice.get("disable_parallel_tool_use") is True else None
        return Prompt(
            messages=messages,
            system=system,
            model=self.model,
            tools=tools,
            tool_choice=_choice(choice, {tool.name for tool in tools}) if tools else None,
            parallel_tool_calls=parallel if tools else None,
            reasoning_effort=_effort(self.thinking),
            caching=self._caching(texts, system, system_marks),
        )

    def _caching(
        self, texts: Sequence[str], system: str, system_marks: Sequence[CacheMark]
    ) -> PromptCaching | None:
        tool_marks: list[CacheMark] = []
        number = 0
        for tool in self.tools or ():
            if _is_custom(tool):
                number += 1
                tool_marks += cache_mark_of(tool, number)
        whole = cache_mark_of({"cache_control": self.cache_control}, 0)
        if not (tool_marks or system_marks or whole):
            return None
        placed = []
        for mark in system_marks:
            before = len(BETWEEN_QUESTIONS.join(texts[: mark.position]))
            placed.append(replace(mark, position=len(system) - before))
        return PromptCaching(
            system=tuple(placed), tools=tuple(tool_marks), whole=whole[0] if whole else None
        )

    def _tools(self) -> tuple[Tool, ...]:
        tools = [
            _tool(tool, f"tools.{number}")
            for number, tool in enumerate(self.tools or ())
            if _is_custom(tool)
        ]
        if len({tool.name for tool in tools}) < len(tools):
            raise InvalidInput("tools", "names must be unique")
        return tuple(tools)


class MessagesRequest(CountRequest):
    """Body of POST /v1/messages; fields that are not listed are ignored."""

    model_config = ConfigDict(
        **_LENIENT,
        json_schema_extra={
            "examples": [
                {
                    "model": "demo",
                    "max_tokens": 1000,
                    "messages": [
                        {"role": "user", "content": "Explain event loops in one sentence."}
                    ],
                }
            ]
        },
    )

    max_tokens: int = Field(
        ge=1, description="Maximum number of tokens in the answer; reduced to the model's limit."
    )
    stream: bool | None = Field(default=None, description="true: send events as they come.")
    temperature: float | None = Field(default=None, ge=0.0, le=1.0, description="0.0 to 1.0.")
    top_p: float | None = Field(default=None, ge=0.0, le=1.0, description="0.0 to 1.0.")
    stop_sequences: list[Annotated[str, AfterValidator(reject_nul)]] | None = Field(
        default=None, max_length=16, description="Texts at which the model stops."
    )
    metadata: MessageMetadata | None = None
    output_config: OutputConfig | None = None

    @property
    def conversation_id(self) -> str | None:
        """Id of the conversation that the interaction is added to; None without one."""
        return None if self.metadata is None else self.metadata.conversation_id

    def in_conversation(self, conversation_id: str) -> Self:
        """Return the same request with this `metadata.conversation_id`."""
        metadata = MessageMetadata() if self.metadata is None else self.metadata
        named = metadata.model_copy(update={"conversation_id": conversation_id})
        return self.model_copy(update={"metadata": named})

    @property
    def brings_context(self) -> bool:
        """Whether the messages contain earlier turns; instructions among them do not count."""
        roles = [message.get("role") for message in self.messages]
        return "assistant" in roles or roles.count("user") > 1

    def resolve_user_id(self, caller: Caller) -> str:
        """Return the id of the user that owns the interaction.

        It is the user the caller is bound to, else `metadata.user_id` of any alphabet, else the caller's principal.
        """
        if caller.user_id is not None:
            return caller.user_id
        name = None if self.metadata is None else self.metadata.user_id
        return to_user_id(name) if name else caller.principal

    def to_prompt(self, *, user_id: str, sealer: Sealer) -> Prompt:
        prompt = super().to_prompt(user_id=user_id, sealer=sealer)
        config = self.output_config or OutputConfig()
        effort = prompt.reasoning_effort
        if config.effort is not None and effort is not ReasoningEffort.NONE:
            effort = ReasoningEffort(config.effort)
        return replace(
            prompt,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=tuple(text for text in self.stop_sequences or () if text),
            max_output_tokens=self.max_tokens,
            response_format=_format(config.format),
            reasoning_effort=effort,
        )


def _is_custom(tool: Mapping[str, Any]) -> bool:
    return tool.get("type") in (None, "custom")


def _tool(tool: Mapping[str, Any], where: str) -> Tool:
    name, description = tool.get("name"), tool.get("description") or ""
    schema, strict = tool.get("input_schema"), tool.get("strict")
    if not isinstance(name, str) or not name or len(name) > 128 or "\0" in name:
        raise InvalidInput(f"{where}.name", "should be a text of at most 128 characters")
    if not isinstance(description, str) or "\0" in description:
        raise InvalidInput(f"{where}.description", "should be a text")
    if not isinstance(schema, dict):
        raise InvalidInput(f"{where}.input_schema", "must be a JSON Schema")
    if (fault := arguments_fault(schema)) is not None:
        raise InvalidInput(f"{where}.input_schema", fault)
    return Tool(
        name=name,
        description=description,
        parameters=orjson.dumps(schema).decode(),
        is_strict=strict if isinstance(strict, bool) else None,
    )


def _choice(choice: Mapping[str, Any], names: set[str]) -> ToolChoice | None:
    kind, name = choice.get("type"), choice.get("name")
    if kind is None:
        return None
    if kind == "tool":
        if not isinstance(name, str) or name not in names:
            raise InvalidInput("tool_choice.name", "must name one of tools")
        return ToolChoice(mode=ToolMode.REQUIRED, names=(name,))
    if not isinstance(kind, str) or kind not in _MODES:
        raise InvalidInput("tool_choice.type", "one of: auto, any, tool, none")
    return ToolChoice(mode=_MODES[kind])


def _effort(thinking: Mapping[str, Any] | None) -> ReasoningEffort | None:
    """Return the effort for a thinking option; None leaves it to the model."""
    match (thinking or {}).get("type"):
        case "disabled":
            return ReasoningEffort.NONE
        case "adaptive":
            return ReasoningEffort.MEDIUM
        case "enabled":
            budget = (thinking or {}).get("budget_tokens")
            if not isinstance(budget, int):
                raise InvalidInput("thinking.budget_tokens", "should be an integer")
            return next((e for most, e in _BUDGETS if budget <= most), ReasoningEffort.HIGH)
    return None


def _format(wanted: Mapping[str, Any] | None) -> ResponseFormat | None:
    if wanted is None or wanted.get("type") != "json_schema":
        return None
    schema = wanted.get("schema")
    if not isinstance(schema, dict):
        raise InvalidInput("output_config.format.schema", "must be a JSON Schema")
    if (fault := schema_fault(schema)) is not None:
        raise InvalidInput("output_config.format.schema", fault)
    return ResponseFormat(schema=orjson.dumps(schema).decode())
