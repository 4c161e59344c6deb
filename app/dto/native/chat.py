"""Request body of POST /v1/chat."""

from typing import Annotated, Literal, Self

import orjson
from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.config import JsonDict
from pydantic_core import InitErrorDetails

from app.dto.media_types import MAX_ATTACHMENTS
from app.dto.native.attachments import AttachmentDto
from app.dto.native.tools import (
    MAX_TOOLS,
    JsonSchema,
    Metadata,
    NamedTool,
    ToolChoiceDto,
    ToolDto,
    ToolResultDto,
    to_tool_choice,
)
from app.dto.wire import PreviousId, PromptText, RequestDto, SystemText, UserId
from domain.entities.caller import Caller
from domain.entities.interaction import NO_TURN_ID
from domain.entities.items import Text
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.tools import ReasoningEffort, ResponseFormat
from domain.exceptions import InvalidInput

_EMPTY_LIST: JsonDict = {"default": []}
"""The default in the description of fields with a factory: Pydantic copies a `default` deeply for each request (4 µs)."""


class ChatRequest(RequestDto):
    """Body of POST /v1/chat."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"userId": "ana", "userPrompt": "Explain event loops in one sentence."}]
        }
    )

    user_id: UserId | None = Field(
        default=None,
        description="User whose history stores the interaction. Optional with a token or key that is bound to a user.",
    )
    user_prompt: PromptText | None = Field(
        default=None,
        description="The prompt: 1 byte to 128 KiB of UTF-8. Optional with `toolResults`.",
        examples=["Explain event loops."],
    )
    model: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="An id or alias of GET /v1/models; the default model when absent."
    )
    system_prompt: SystemText = Field(
        default="", description="Instructions for the model, up to 32 KiB; not sent when empty."
    )
    temperature: float | None = Field(
        default=None, ge=0.0, le=2.0, description="0.0 to 2.0; not sent when absent."
    )
    max_output_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of tokens in the answer; at most the model's own limit, where that is known.",
    )
    conversation_id: UserId | None = Field(
        default=None, description="Conversation of the user that the interaction is added to."
    )
    stream: bool = Field(
        default=False,
        description="true: send the answer as server-sent events while it is generated.",
    )
    background: bool = Field(
        default=False,
        description="true: the answer continues if the client disconnects, and another process finishes it if this one dies. "
        "Without `stream` the response is a 202 with the accepted interaction.",
    )
    fallback: bool = Field(default=True, description="false: do not fall back to another model.")
    previous_id: PreviousId | None = Field(
        default=None,
        description="Interaction to continue: the turns up to and including it are sent before the prompt. Not together with `conversationId`, which is taken over from it. "
        "`none`, with a `conversationId`: nothing is sent before the prompt, a branch from the beginning of the conversation.",
    )
    attachments: list[AttachmentDto] = Field(
        default_factory=list,
        json_schema_extra=_EMPTY_LIST,
        max_length=MAX_ATTACHMENTS,
        description="Images (png, jpeg, webp, gif), PDF documents, audio (wav, mpeg) and texts.",
    )
    tools: list[ToolDto] = Field(
        default_factory=list,
        json_schema_extra=_EMPTY_LIST,
        max_length=MAX_TOOLS,
        description="Functions that the model may call.",
    )
    tool_choice: ToolChoiceDto | None = Field(
        default=None,
        description="`auto` (default), `none`, `required`, or the name of the tool to call.",
    )
    tool_results: list[ToolResultDto] = Field(
        default_factory=list,
        json_schema_extra=_EMPTY_LIST,
        max_length=MAX_TOOLS,
        description="Results of all tool calls of the conversation's last turn; needs `conversationId` or `previousId`.",
    )
    response_schema: JsonSchema | None = Field(
        default=None, description="JSON Schema that the text of the answer fits."
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = Field(
        default=None, description="How much the model reasons; not sent when absent."
    )
    metadata: Metadata = Field(
        default_factory=dict,
        json_schema_extra={"default": {}},
        description="Up to 16 pairs of strings, stored and returned.",
    )

    @model_validator(mode="after")
    def _require_prompt(self) -> Self:
        if self.user_prompt is None and not self.tool_results:
            missing = InitErrorDetails(type="missing", loc=("userPrompt",), input=None)
            raise ValidationError.from_exception_data("body", [missing])
        return self

    def resolve_user_id(self, caller: Caller) -> str:
        """Return the id of the user that owns the interaction: `user_id`, else the user the caller is bound to.

        Raises:
            InvalidInput: Both are missing.
        """
        user_id = self.user_id or caller.user_id
        if user_id is None:
            raise InvalidInput("user_id", "Field required")
        return user_id

    def to_prompt(self) -> Prompt:
        """Return the prompt with its generation options.

        Raises:
            InvalidInput: Fields contradict each other.
            InvalidAttachment: An attachment is not valid.
        """
        self._check_fields()
        if self.user_prompt is not None and not self._has_more_than_text():
            return Prompt.from_text(
                self.user_prompt,
                system=self.system_prompt,
                model=self.model,
                temperature=self.temperature,
                max_output_tokens=self.max_output_tokens,
            )
        schema = self.response_schema
        return Prompt(
            messages=(self._message(),),
            system=self.system_prompt,
            model=self.model,
            temperature=self.temperature,
            max_output_tokens=self.max_output_tokens,
            tools=tuple([tool.to_tool() for tool in self.tools]),
            tool_choice=to_tool_choice(self.tool_choice)
            if self.tools and self.tool_choice is not None
            else None,
            response_format=None
            if schema is None
            else ResponseFormat(schema=orjson.dumps(schema).decode()),
            reasoning_effort=None
            if self.reasoning_effort is None
            else ReasoningEffort(self.reasoning_effort),
        )

    def _has_more_than_text(self) -> bool:
        return bool(
            self.tools
            or self.tool_results
            or self.attachments
            or self.response_schema is not None
            or self.reasoning_effort
        )

    def _message(self) -> Message:
        text = self.user_prompt or ""
        if not self.tool_results and not self.attachments:
            return Message(role=Role.USER, text=text)
        results = [result.to_result() for result in self.tool_results]
        attachments = [
            attachment.to_attachment(position)
            for position, attachment in enumerate(self.attachments)
        ]
        texts = (Text(text=text),) if text else ()
        return Message(role=Role.USER, text=text, items=(*results, *attachments, *texts))

    def _check_fields(self) -> None:
        if self.previous_id == NO_TURN_ID:
            if self.conversation_id is None:
                raise InvalidInput("previous_id", "none needs conversationId")
        elif self.previous_id is not None and self.conversation_id is not None:
            raise InvalidInput("previous_id", "not together with conversationId")
        if self.tool_results and self.previous_id is None and self.conversation_id is None:
            raise InvalidInput("tool_results", "needs conversationId or previousId")
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise InvalidInput("tools", "names must be unique")
        if self.tool_choice is None:
            return
        if isinstance(self.tool_choice, NamedTool):
            if self.tool_choice.name not in names:
                raise InvalidInput("tool_choice", "must name one of tools")
        elif self.tool_choice == "required" and not names:
            raise InvalidInput("tool_choice", "needs tools")
