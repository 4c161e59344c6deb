"""The built-in demo model, available without any key."""

from collections.abc import AsyncGenerator

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent, FinishReason, ProviderSelected, Reply
from domain.interfaces.llm_client import LLMClient

PROVIDER = "demo"
MODEL = "demo"

_ECHO_CHARACTERS = 280


class DemoLLM(LLMClient):
    """Answers without a key and a network; every answer says that it is no real LLM.

    Reports no tokens, since counts are never guessed. Never fails.
    """

    async def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        yield ProviderSelected(provider=PROVIDER, model=MODEL)
        for sentence in _sentences(prompt):
            yield sentence
        yield Reply(finish_reason=FinishReason.STOP)


def _sentences(prompt: Prompt) -> tuple[str, ...]:
    question = " ".join(prompt.text.split())
    if len(question) > _ECHO_CHARACTERS:
        question = question[:_ECHO_CHARACTERS] + "…"
    earlier = len(prompt.messages) - 1
    earlier_note = (f"It came with {earlier} earlier messages. ",) if earlier else ()
    return (
        "This is the scripted demo model, not a real LLM. ",
        f"You asked: “{question}” ",
        *earlier_note,
        "The answer you are reading was streamed, timed and stored like any other. ",
        "For real answers set GEMINI_API_KEY, OPENROUTER_API_KEY or OPENAI_API_KEY and start again; ",
        "for a model on this machine, set OPENAI_BASE_URL and OPENAI_MODEL.",
    )
