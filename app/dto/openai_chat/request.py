"""Request body of a chat in OpenAI's format."""

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from app.dto.openai_chat.conversation import to_messages
from app.dto.openai_chat.message import ChatMessage
from app.dto.openai_chat.tools import (
    MAX_TOOLS,
    Function,
    FunctionCallField,
    FunctionName,
    FunctionTool,
    ResponseFormatField,
    ToolChoiceField,
    to_response_format,
    to_tool_choice,
)
from app.dto.openai_chat.values import (
    AbsentOrEmpty,
    FalseOnly,
    SingleChoice,
    Stop,
    TextModality,
)
from app.dto.texts import MAX_TOTAL_BYTES
from app.dto.wire import UserId, reject_nul
from domain.entities.caller import Caller, to_user_id
from domain.entities.prompt import Prompt, PromptCaching
from domain.entities.tools import ReasoningEffort, Tool, ToolChoice, ToolMode
from domain.exceptions import InvalidInput

_SEED_LIMIT = 2**63
_MAX_METADATA_PAIRS = 16
_MAX_METADATA_NAME = 64
_MAX_METADATA_VALUE = 512
_LENIENT = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = _LENIENT

    include_usage: bool | None = Field(
        default=None, description="true: a last chunk, without choices, contains the token usage."
    )


class ChatMetadata(BaseModel):
    """Metadata of the request: texts are stored with the interaction, other values are ignored."""

    model_config = ConfigDict(**{**_LENIENT, "extra": "allow"})

    conversation_id: UserId | None = Field(
        default=None, description="Conversation of the user that the interaction is added to."
    )

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        pairs = self.pairs()
        if len(pairs) > _MAX_METADATA_PAIRS:
            raise ValueError("must have at most 16 pairs")
        for name, value in pairs.items():
            if len(name) > _MAX_METADATA_NAME or len(value) > _MAX_METADATA_VALUE:
                raise ValueError(
                    "must have names of at most 64 and values of at most 512 characters"
                )
            reject_nul(name + value)
        return self

    def pairs(self) -> dict[str, str]:
        """Return the caller's own pairs of texts."""
        extra = self.model_extra or {}
        return {name: value for name, value in extra.items() if isinstance(value, str)}


class ChatCompletionRequest(BaseModel):
    """Body of POST /v1/chat/completions; fields that are not listed are ignored."""

    model_config = ConfigDict(
        **_LENIENT,
        json_schema_extra={
            "examples": [
                {"messages": [{"role": "user", "content": "Explain event loops in one sentence."}]}
            ]
        },
    )

    messages: list[ChatMessage] = Field(
        min_length=1,
        description="The conversation so far, oldest first. The last message of role `user` must not be empty; other empty messages are ignored. Each tool call must be followed by its result.",
    )
    model: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="An id or alias of GET /v1/models; the default model when absent."
    )
    temperature: float | None = Field(default=None, ge=0.0, le=2.0, description="0.0 to 2.0.")
    top_p: float | None = Field(default=None, ge=0.0, le=1.0, description="0.0 to 1.0.")
    max_completion_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of tokens in the answer; at most the model's own limit, where that is known.",
    )
    max_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Older name of `max_completion_tokens`, which takes precedence.",
    )
    stop: Stop = Field(default=None, description="Up to four texts at which the model stops.")
    seed: int | None = Field(
        default=None,
        ge=-_SEED_LIMIT,
        lt=_SEED_LIMIT,
        description="Sampling seed, for providers that support one.",
    )
    stream: bool | None = Field(
        default=None, description="true: send the answer in chunks while it is generated."
    )
    stream_options: StreamOptions | None = None
    user: str | None = Field(
        default=None,
        description="User whose history stores the interaction, if the credentials are not bound to one. A name that is not a valid `userId` becomes `sub-` and the base64url of its SHA-256.",
    )
    safety_identifier: str | None = Field(default=None, description="Used when `user` is absent.")
    prompt_cache_key: str | None = Field(
        default=None,
        max_length=1024,
        description="Cache key of requests with a common beginning, for providers that support it.",
    )
    metadata: ChatMetadata | None = None
    n: SingleChoice = Field(default=None, description="Only one choice is supported.")
    tools: list[FunctionTool] | None = Field(
        default=None, max_length=MAX_TOOLS, description="Functions that the model may call."
    )
    tool_choice: ToolChoiceField = Field(
        default=None, description="Whether and which functions the model calls."
    )
    parallel_tool_calls: bool | None = Field(
        default=None,
        description="Whether one answer may have several calls, if the model supports it.",
    )
    functions: list[Function] | None = Field(
        default=None, max_length=MAX_TOOLS, description="Older form of `tools`."
    )
    function_call: FunctionCallField = Field(
        default=None, description="Older form of `tool_choice`."
    )
    response_format: ResponseFormatField = Field(
        default=None, description="Text, a JSON object, or JSON that fits a schema."
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        Field(
            default=None,
            description="How much the model reasons; mapped to the model's own setting.",
        )
    )
    logprobs: FalseOnly = Field(default=None, description="Not supported.")
    modalities: TextModality = Field(default=None, description="Only text is supported.")
    audio: AbsentOrEmpty = Field(default=None, description="Not supported.")

    @field_validator("messages")
    @classmethod
    def _require_user_prompt(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        indices = [
            index
            for index, message in enumerate(messages)
            if message.role in ("user", "tool", "function")
        ]
        if not indices:
            raise ValueError("must contain a message of role user")
        if sum(len(message.content.encode()) for message in messages) > MAX_TOTAL_BYTES:
            raise ValueError("must have at most 8 MiB of text together")
        prompt_index = indices[-1]
        if messages[prompt_index].role == "user" and messages[prompt_index].is_empty:
            raise _empty_content_error(prompt_index)
        return messages

    @property
    def conversation_id(self) -> str | None:
        """Id of the conversation that the interaction is added to; None without one."""
        return None if self.metadata is None else self.metadata.conversation_id

    def in_conversation(self, conversation_id: str) -> Self:
        """Return the same request with this `metadata.conversation_id`."""
        named = {"conversation_id": conversation_id}
        metadata = ChatMetadata() if self.metadata is None else self.metadata
        return self.model_copy(update={"metadata": metadata.model_copy(update=named)})

    @property
    def metadata_pairs(self) -> dict[str, str]:
        """The caller's own pairs of texts, stored with the interaction."""
        return {} if self.metadata is None else self.metadata.pairs()

    @property
    def brings_context(self) -> bool:
        """Whether the messages contain earlier turns; empty messages of the user do not count."""
        if any(message.role == "assistant" for message in self.messages):
            return True
        return sum(message.role == "user" and not message.is_empty for message in self.messages) > 1

    @property
    def output_limit_field(self) -> str:
        """Name of the field that limits the answer."""
        return "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with the token usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def resolve_user_id(self, caller: Caller) -> str:
        """Return the id of the user that owns the interaction.

        It is the user the caller is bound to, else `user` or `safety_identifier`, converted by `to_user_id`, else the
        caller's principal.
        """
        if caller.user_id is not None:
            return caller.user_id
        name = self.user or self.safety_identifier
        return to_user_id(name) if name else caller.principal

    def to_prompt(self) -> Prompt:
        """Return the prompt with its generation options; messages without content are left out.

        Raises:
            ToolResultsMissing: A tool call is not answered.
            InvalidInput: A result answers no call, or a choice names no tool.
            InvalidAttachment: A content part is not valid.
        """
        instructions = [
            message.content
            for message in self.messages
            if message.role in ("system", "developer") and message.content
        ]
        return Prompt(
            messages=to_messages(self.messages),
            system="\n\n".join(instructions),
            model=self.model,
            temperature=self.temperature,
            max_output_tokens=self.max_completion_tokens or self.max_tokens,
            top_p=self.top_p,
            stop=tuple(self.stop or ()),
            seed=self.seed,
            tools=self._tools(),
            tool_choice=self._tool_choice(),
            parallel_tool_calls=self.parallel_tool_calls if self.tools else None,
            response_format=to_response_format(self.response_format),
            reasoning_effort=None
            if self.reasoning_effort is None
            else ReasoningEffort(self.reasoning_effort),
            caching=PromptCaching(key=self.prompt_cache_key) if self.prompt_cache_key else None,
        )

    def _tools(self) -> tuple[Tool, ...]:
        functions = self.functions or ()
        if self.tools:
            functions = [tool.function for tool in self.tools]
        tools = tuple([function.to_tool() for function in functions])
        if len({tool.name for tool in tools}) < len(tools):
            raise InvalidInput("tools", "names must be unique")
        return tools

    def _tool_choice(self) -> ToolChoice | None:
        choice = None
        if self.tool_choice is not None:
            choice = to_tool_choice(self.tool_choice)
        elif isinstance(self.function_call, FunctionName):
            choice = ToolChoice(mode=ToolMode.REQUIRED, names=(self.function_call.name,))
        elif self.function_call is not None:
            choice = ToolChoice(mode=ToolMode(self.function_call))
        if choice is None or (choice.mode is not ToolMode.REQUIRED and not choice.names):
            return choice if self.tools or self.functions else None
        names = {tool.name for tool in self._tools()}
        if not names or not names.issuperset(choice.names):
            raise InvalidInput("tool_choice", "must name functions of tools")
        return choice


def _empty_content_error(index: int) -> ValidationError:
    """Return the error for the empty content of the message at `index`."""
    error = PydanticCustomError("value_error", "Value error, must not be empty")
    details = InitErrorDetails(type=error, loc=(index, "content"), input="")
    return ValidationError.from_exception_data("messages", [details])
