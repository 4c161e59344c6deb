"""Request body of POST /v1/chat."""

from typing import Annotated

from pydantic import ConfigDict, Field

from app.dto.wire import PromptText, RequestDto, SystemText, UserId
from domain.entities.caller import Caller
from domain.entities.prompt import Prompt
from domain.exceptions import InvalidInput


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
    user_prompt: PromptText = Field(
        description="The prompt: 1 byte to 128 KiB of UTF-8.", examples=["Explain event loops."]
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
        description="Maximum number of tokens in the answer; capped at the model's own limit where that is known.",
    )
    conversation_id: UserId | None = Field(
        default=None, description="Conversation of the user that the interaction is added to."
    )
    stream: bool = Field(
        default=False,
        description="true: send the answer as server-sent events while it is generated.",
    )
    fallback: bool = Field(default=True, description="false: do not fall back to another model.")

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
        """Return the prompt with its generation options."""
        return Prompt.from_text(
            self.user_prompt,
            system=self.system_prompt,
            model=self.model,
            temperature=self.temperature,
            max_output_tokens=self.max_output_tokens,
        )
