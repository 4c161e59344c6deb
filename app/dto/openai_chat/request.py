"""The body of a chat in OpenAI's format."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from app.dto.openai_chat.message import ChatMessage
from app.dto.openai_chat.values import Absent, Never, SingleChoice, Stop, TextFormat, TextModality
from app.dto.wire import UserId
from domain.entities.caller import Caller, to_user_id
from domain.entities.prompt import Message, Prompt, Role

_SEED_LIMIT = 2**63
_LENIENT = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)


class StreamOptions(BaseModel):
    """What a stream also tells."""

    model_config = _LENIENT

    include_usage: bool | None = Field(
        default=None, description="true: a last chunk, without choices, tells the tokens."
    )


class ChatMetadata(BaseModel):
    """What the caller notes about the request; only what is named here has a meaning."""

    model_config = _LENIENT

    conversation_id: UserId | None = Field(
        default=None, description="Files the interaction under this conversation of the user."
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
        description="The conversation so far, oldest first. The user's last message is the question; other messages without any text are left out.",
    )
    model: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="An id or alias of GET /v1/models; the default model when absent."
    )
    temperature: float | None = Field(default=None, ge=0.0, le=2.0, description="0.0 to 2.0.")
    top_p: float | None = Field(default=None, ge=0.0, le=1.0, description="0.0 to 1.0.")
    max_completion_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Upper bound of the answer, up to the model's own limit where that is known.",
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="The older name of `max_completion_tokens`, which wins."
    )
    stop: Stop = Field(default=None, description="One text or up to four at which to stop.")
    seed: int | None = Field(
        default=None, ge=-_SEED_LIMIT, lt=_SEED_LIMIT, description="For providers that know one."
    )
    stream: bool | None = Field(default=None, description="true: answer chunk by chunk.")
    stream_options: StreamOptions | None = None
    user: str | None = Field(
        default=None,
        description="Whose history the interaction goes to, where the credentials name no user. A name that cannot be a `userId` becomes `sub-` and the base64url of its SHA-256.",
    )
    safety_identifier: str | None = Field(default=None, description="Stands in for `user`.")
    metadata: ChatMetadata | None = None
    n: SingleChoice = Field(default=None, description="Only one choice is given.")
    tools: Absent = Field(default=None, description="Not supported.")
    functions: Absent = Field(default=None, description="Not supported.")
    response_format: TextFormat = Field(default=None, description="Only text is supported.")
    logprobs: Never = Field(default=None, description="Not supported.")
    modalities: TextModality = Field(default=None, description="Only text is supported.")
    audio: Absent = Field(default=None, description="Not supported.")

    @field_validator("messages")
    @classmethod
    def _ask_something(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        asked = [number for number, message in enumerate(messages) if message.role == "user"]
        if not asked:
            raise ValueError("must hold a message of the user")
        question = asked[-1]
        if not messages[question].content:
            raise _empty_content_of(question)
        return messages

    @property
    def conversation_id(self) -> str | None:
        """The conversation the interaction belongs to, if any."""
        return None if self.metadata is None else self.metadata.conversation_id

    @property
    def brings_context(self) -> bool:
        """Whether the list is a conversation already, rather than one question; a user's empty message is no question."""
        if any(message.role == "assistant" for message in self.messages):
            return True
        return (
            sum(message.role == "user" and bool(message.content) for message in self.messages) > 1
        )

    @property
    def wants_usage(self) -> bool:
        """Whether a stream also tells the tokens."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def user_of(self, caller: Caller) -> str:
        """Return whose interaction it is: the user the caller is bound to, else one named here, else the caller itself.

        A name of any alphabet is taken; `to_user_id` says what becomes of it.
        """
        if caller.user_id is not None:
            return caller.user_id
        name = self.user or self.safety_identifier
        return to_user_id(name) if name else caller.principal

    def to_prompt(self) -> Prompt:
        """Return the same question in the domain's words; messages without any text are left out."""
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


def _empty_content_of(number: int) -> ValidationError:
    """Return the error that names the content of one message of the list."""
    error = PydanticCustomError("value_error", "Value error, must not be empty")
    details = InitErrorDetails(type=error, loc=(number, "content"), input="")
    return ValidationError.from_exception_data("messages", [details])
