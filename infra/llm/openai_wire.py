"""The JSON of OpenAI's Chat Completions, as OpenAI, OpenRouter, Ollama, vLLM and llama.cpp speak it."""

from math import inf
from urllib.parse import urlsplit

import orjson

from domain.entities.prompt import Prompt
from domain.entities.reply import NO_USAGE, FinishReason, Usage
from infra.llm.answer_reader import AnswerReader, ErrorInAnswer, UnreadableAnswer, count
from infra.llm.dialect import Dialect

_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}


_RENAMED_LIMIT = (".openai.com", ".openai.azure.com")


def limit_field(base_url: str) -> str:
    """Return what a server calls the bound on output: OpenAI's newer models refuse the old name, others want it."""
    host = urlsplit(base_url).hostname or ""
    return "max_completion_tokens" if f".{host}".endswith(_RENAMED_LIMIT) else "max_tokens"


def request_body(prompt: Prompt, dialect: Dialect, *, model: str) -> bytes:
    """Return the body of a request; what the caller did not choose is not sent.

    Args:
        prompt: What is asked, in the dialect. A last message of the assistant is one to go on from.
        dialect: What the server takes.
        model: The provider's name for it.
    """
    messages = [
        {"role": message.role.value, "content": message.text} for message in prompt.messages
    ]
    if prompt.system:
        messages.insert(0, {"role": "system", "content": prompt.system})
    body: dict[str, object] = {"model": model, "messages": messages, "stream": dialect.stream}
    if dialect.stream and dialect.stream_options:
        body["stream_options"] = {"include_usage": True}
    if prompt.temperature is not None:
        body["temperature"] = prompt.temperature
    if prompt.max_output_tokens is not None:
        body[dialect.limit_field] = prompt.max_output_tokens
    if prompt.top_p is not None:
        body["top_p"] = prompt.top_p
    if prompt.stop:
        body["stop"] = prompt.stop
    if prompt.seed is not None:
        body["seed"] = prompt.seed
    return orjson.dumps(body)


class OpenAIReader(AnswerReader):
    """Reads chunks, and the whole completion that a server sends when it ignores `stream`."""

    def __init__(self) -> None:
        self.finish_reason: FinishReason | None = None
        self._counts: object = None

    def take(self, document: object) -> str:
        if type(document) is not dict:
            raise UnreadableAnswer("not an object")
        if document.get("error"):
            raise ErrorInAnswer(document)
        if (counts := document.get("usage")) is not None:
            self._counts = counts
        choices = document.get("choices")
        if not choices:
            return ""  # the chunk that carries the usage
        if type(choices) is not list or type(choice := choices[0]) is not dict:
            raise UnreadableAnswer("choices of a wrong shape")
        if choice.get("error"):
            raise ErrorInAnswer(choice)
        if reason := choice.get("finish_reason"):
            if type(reason) is not str:
                raise UnreadableAnswer("a finish reason that is not text")
            self.finish_reason = _FINISH_REASONS.get(reason, FinishReason.ERROR)
        message = choice.get("delta")
        if message is None and (message := choice.get("message")) is None:
            return ""
        if type(message) is not dict:
            raise UnreadableAnswer("a message of a wrong shape")
        text = message.get("content")
        if text is None:
            return ""
        if type(text) is not str:
            raise UnreadableAnswer("a text that is none")
        return text

    def done(self) -> None:
        if self.finish_reason is None:
            self.finish_reason = FinishReason.STOP

    def usage(self) -> Usage:
        counts = self._counts
        if not isinstance(counts, dict):
            return NO_USAGE
        return Usage(
            input_tokens=count(counts.get("prompt_tokens")),
            output_tokens=count(counts.get("completion_tokens")),
            reasoning_tokens=_detail(counts, "completion_tokens_details", "reasoning_tokens"),
            total_tokens=count(counts.get("total_tokens")),
            cached_input_tokens=_detail(counts, "prompt_tokens_details", "cached_tokens"),
            cost_usd=_cost_usd(counts),
        )


def _detail(counts: dict[str, object], group: str, name: str) -> int | None:
    details = counts.get(group)
    return count(details.get(name)) if isinstance(details, dict) else None


def _cost_usd(counts: dict[str, object]) -> float | None:
    """Return what OpenRouter says it charges; with a key of one's own there, the host's price is not in it."""
    cost = counts.get("cost")
    if isinstance(cost, bool) or not isinstance(cost, int | float) or counts.get("is_byok"):
        return None
    return float(cost) if 0 <= cost < inf else None
