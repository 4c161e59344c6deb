"""Request body of a chat in OpenAI's format."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from app.dto.openai_chat.message import ChatMessage
from app.dto.openai_chat.values import (
    AbsentOrEmpty,
    FalseOnly,
    SingleChoice,
    Stop,
    TextFormat,
    TextModality,
)
from app.dto.wire import UserId
from domain.entities.caller import Caller, to_user_id
from domain.entities.prompt import Message, Prompt, Role

_SEED_LIMIT = 2**63
_LENIENT = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = _LENIENT

    include_usage: bool | None = Field(
        default=None, description="true: a last chunk, without choices, contains the token usage."
    )


class ChatMetadata(BaseModel):
    """Metadata of the request; unlisted keys are ignored."""

    model_config = _LENIENT

    conversation_id: UserId | None = Field(
        default=None, description="Conversation of the user that the interaction is added to."
    )


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
        description="The conversation so far, oldest first. The last message of role `user` must not be empty; other messages without text are ignored.",
    )
    model: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="An id or alias of GET /v1/models; the default model when absent."
    )
    temperature: float | None = Field(default=None, ge=0.0, le=2.0, description="0.0 to 2.0.")
    top_p: float | None = Field(default=None, ge=0.0, le=1.0, description="0.0 to 1.0.")
    max_completion_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of tokens in the answer; capped at the model's own limit where that is known.",
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
        description="User whose history stores the interaction, if the credentials are not bound to one. A name that is no valid `userId` becomes `sub-` and the base64url of its SHA-256.",
    )
    safety_identifier: str | None = Field(default=None, description="Used when `user` is absent.")
    metadata: ChatMetadata | None = None
    n: SingleChoice = Field(default=None, description="Only one choice is supported.")
    tools: AbsentOrEmpty = Field(default=None, description="Not supported.")
    functions: AbsentOrEmpty = Field(default=None, description="Not supported.")
    response_format: TextFormat = Field(default=None, description="Only text is supported.")
    logprobs: FalseOnly = Field(default=None, description="Not supported.")
    modalities: TextModality = Field(default=None, description="Only text is supported.")
    audio: AbsentOrEmpty = Field(default=None, description="Not supported.")

    @field_validator("messages")
    @classmethod
    def _require_user_prompt(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        user_indices = [index for index, message in enumerate(messages) if message.role == "user"]
        if not user_indices:
            raise ValueError("must contain a message of role user")
        prompt_index = user_indices[-1]
        if not messages[prompt_index].content:
            raise _empty_content_error(prompt_index)
        return messages

    @property
    def conversation_id(self) -> str | None:
        """Id of the conversation that the interaction is added to; None without one."""
        return None if self.metadata is None else self.metadata.conversation_id

    @property
    def brings_context(self) -> bool:
        """Whether the messages contain earlier turns; empty messages of the user do not count."""
        if any(message.role == "assistant" for message in self.messages):
            return True
        return (
            sum(message.role == "user" and bool(message.content) for message in self.messages) > 1
        )

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
        """Return the prompt with its generation options; messages without text are left out."""
        instructions = [
            message.content
            for message in self.messages
            if message.role in ("system", "developer") and message.content
        ]
        return Prompt(
            messages=tuple(
                [
                    Message(role=Role(message.role), text=message.content)
                    for message in self.messages
                    if message.role in ("user", "assistant") and message.content
                ]
            ),
            system="\n\n".join(instructions),
            model=self.model,
            temperature=self.temperature,
            max_output_tokens=self.max_completion_tokens or self.max_tokens,
            top_p=self.top_p,
            stop=tuple(self.stop or ()),
            seed=self.seed,
        )


def _empty_content_error(index: int) -> ValidationError:
    """Return the error for the empty content of the message at `index`."""
    error = PydanticCustomError("value_error", "Value error, must not be empty")
    details = InitErrorDetails(type=error, loc=(index, "content"), input="")
    return ValidationError.from_exception_data("messages", [details])
