"""The built-in demo model, available without any key."""

from collections.abc import AsyncGenerator, Sequence

import orjson

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.items import Attachment, ToolCall, attachments, call_id, tool_results
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent, FinishReason, ProviderSelected, Reply
from domain.entities.tools import Tool, ToolChoice, ToolMode
from domain.interfaces.llm_client import LLMClient
from infra.llm.providers.schema_example import example_of

PROVIDER = "demo"
MODEL = "demo"

_ECHO_CHARACTERS = 280


class DemoLLM(LLMClient):
    """Answers without a key and a network; every text says that it is not a real LLM.

    Calls a tool when one is offered, and answers to its result; answers with made-up JSON where a schema is given.
    Reports no tokens, since counts are never guessed.
    """

    async def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        yield ProviderSelected(provider=PROVIDER, model=MODEL)
        if (tool := _tool_to_call(prompt)) is not None:
            arguments = example_of(orjson.loads(tool.parameters or "{}"))
            yield ToolCall(
                id=call_id(context.id, 0),
                name=tool.name,
                arguments=orjson.dumps(arguments).decode(),
            )
            yield Reply(finish_reason=FinishReason.TOOL_CALLS)
            return
        if prompt.response_format is not None:
            schema = orjson.loads(prompt.response_format.schema or "{}")
            yield orjson.dumps(example_of(schema)).decode()
            yield Reply(finish_reason=FinishReason.STOP)
            return
        for sentence in _sentences(prompt):
            yield sentence
        yield Reply(finish_reason=FinishReason.STOP)


def _tool_to_call(prompt: Prompt) -> Tool | None:
    """Return the tool to call: the first that is allowed, unless the last message has results already."""
    choice = prompt.tool_choice or ToolChoice()
    if choice.mode is ToolMode.NONE or tool_results(prompt.messages[-1].items):
        return None
    allowed = [tool for tool in prompt.tools if not choice.names or tool.name in choice.names]
    return allowed[0] if allowed else None


def _sentences(prompt: Prompt) -> tuple[str, ...]:
    if results := tool_results(prompt.messages[-1].items):
        outputs = ", ".join([_shortened(result.output) for result in results])
        return (
            "This is the scripted demo model, not a real LLM. ",
            f"Your tools answered: {outputs}",
        )
    question = _shortened(prompt.text)
    sent = attachments(prompt.messages[-1].items)
    attached = (f"You sent {_listed(sent)}. ",) if sent else ()
    earlier = len(prompt.messages) - 1
    earlier_note = (f"It came with {earlier} earlier messages. ",) if earlier else ()
    return (
        "This is the scripted demo model, not a real LLM. ",
        f"You asked: “{question}” ",
        *attached,
        *earlier_note,
        "The answer you are reading was streamed, timed and stored like any other. ",
        "For real answers set GEMINI_API_KEY, OPENROUTER_API_KEY or OPENAI_API_KEY and start again; ",
        "for a model on this machine, set OPENAI_BASE_URL and OPENAI_MODEL.",
    )


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _ECHO_CHARACTERS else text[:_ECHO_CHARACTERS] + "…"


def _listed(sent: Sequence[Attachment]) -> str:
    sizes = [f"{item.media_type} of {item.size_bytes or 'unknown'} bytes" for item in sent]
    return ", ".join(sizes)
