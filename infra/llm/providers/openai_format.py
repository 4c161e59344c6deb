"""The JSON of Chat Completions, as OpenAI, OpenRouter, Ollama, vLLM and llama.cpp use it."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import orjson

from domain.entities.prompt import Prompt
from domain.entities.reply import NO_USAGE, FinishReason, Usage
from infra.llm.transport.dialect import Dialect
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from infra.llm.transport.finish_reasons import finish_reason_of, is_unset
from infra.llm.transport.response_parser import AnswerReader, count, price_usd

_RENAMED_LIMIT = (".openai.com", ".openai.azure.com")


def limit_field(base_url: str) -> str:
    """Return a server's name for the limit on output: OpenAI's newer models reject the old name, others need it."""
    host = urlsplit(base_url).hostname or ""
    return "max_completion_tokens" if f".{host}".endswith(_RENAMED_LIMIT) else "max_tokens"


def request_body(prompt: Prompt, dialect: Dialect, *, model: str) -> bytes:
    """Return the body of a request; options the caller did not set are not sent.

    Args:
        prompt: In the dialect. A last message of the assistant is a partial answer to continue.
        dialect: Of the server.
        model: The provider's name for the model.
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
    """Reads chunks, and the complete answer of a server that ignores `stream`."""

    def __init__(self) -> None:
        self.finish_reason: FinishReason | None = None
        self.is_reason_unknown = False
        self.has_progress = False
        self._has_text = False  # in a delta
        self._counts: object = None

    def take(self, document: object) -> str:
        if type(document) is not dict:
            raise UnreadableAnswer("not an object")
        if counts := document.get("usage"):
            self._counts = counts  # also next to an error, whose cost counts
        if document.get("error"):
            raise ErrorInAnswer(document)
        choices = document.get("choices")
        if not choices:
            return ""  # the chunk that carries the usage
        if type(choices) is not list or type(choice := choices[0]) is not dict:
            raise UnreadableAnswer("choices of a wrong shape")
        if choice.get("error"):
            raise ErrorInAnswer(choice)
        if "usage" in choice and not counts:
            self._counts = choice["usage"] or self._counts
        if reason := choice.get("finish_reason"):
            self._take_reason(reason)
        delta = choice.get("delta")
        if (
            type(delta) is dict
            and type(text := delta.get("content")) is str
            and text
            and not delta.get("refusal")
        ):
            self._has_text = True
            return text  # fast path for the common chunk shape
        text = "" if delta is None else self._text_of(delta)
        if text:
            self._has_text = True
        elif (message := choice.get("message")) is not None:
            text = self._text_of(message)
            if self._has_text:
                return ""  # it repeats the text of the deltas
        return text

    def done(self) -> None:
        if self.finish_reason is None:
            self.finish_reason = FinishReason.STOP

    def usage(self) -> Usage:
        counts = self._counts
        if not isinstance(counts, dict):
            return NO_USAGE
        input_tokens = _count(counts, _INPUT)
        output_tokens = _count(counts, _OUTPUT)
        reasoning_tokens = _count(counts, _REASONING)
        total_tokens = _count(counts, _TOTAL)
        if (
            input_tokens is not None
            and output_tokens is not None
            and reasoning_tokens
            and total_tokens == input_tokens + output_tokens + reasoning_tokens
        ):
            output_tokens += reasoning_tokens  # some servers do not include them in the output
        return Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            reasoning_tokens=reasoning_tokens,
            total_tokens=total_tokens,
            cached_input_tokens=_count(counts, _CACHED_INPUT),
            # With a key of the user at OpenRouter, the reported cost does not include the host's price.
            cost_usd=None if counts.get("is_byok") else price_usd(counts.get("cost")),
        )

    def _take_reason(self, reason: object) -> None:
        if is_unset(reason):
            return
        if type(reason) is not str:
            raise UnreadableAnswer("a finish reason that is not a string")
        meaning = finish_reason_of(reason)
        if meaning is None:
            self.is_reason_unknown = True
        elif self.finish_reason is not FinishReason.CONTENT_FILTER:
            self.finish_reason = meaning

    def _text_of(self, message: object) -> str:
        """Return the text of a delta or a message; the text of a refusal counts and marks the answer as blocked."""
        if type(message) is not dict:
            raise UnreadableAnswer("a message of a wrong shape")
        content = message.get("content")
        text = content if type(content) is str else self._text_in(content)
        if refusal := message.get("refusal"):
            text += self._text_in(refusal)
            self.finish_reason = FinishReason.CONTENT_FILTER
        if not text and not self.has_progress:
            self.has_progress = any(message.get(name) for name in _AT_WORK)
        return text

    def _text_in(self, content: object, depth: int = 0) -> str:
        """Return the text of content in any shape: a string, a part, a list of either, or null."""
        if content is None:
            return ""
        if type(content) is str:
            return content
        if depth == _DEEPEST_CONTENT:
            raise UnreadableAnswer("content nested too deep")
        if type(content) is list:
            return "".join([self._text_in(part, depth + 1) for part in content])
        if type(content) is not dict:
            raise UnreadableAnswer("a text that is not a string")
        kind = content.get("type")
        if type(kind) is str and kind.startswith(_REASONING_PARTS):
            self.has_progress = True
            return ""
        if refusal := content.get("refusal"):
            self.finish_reason = FinishReason.CONTENT_FILTER
            return self._text_in(refusal, depth + 1)
        return self._text_in(content.get("text"), depth + 1)


_DEEPEST_CONTENT = 8  # parts in parts; two are known
_REASONING_PARTS = ("thinking", "reasoning", "redacted_thinking")
_AT_WORK = (
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "thinking",
    "tool_calls",
    "function_call",
)
# Places of each count; the first that has a number is used.
_INPUT = (("prompt_tokens",),)
_OUTPUT = (("completion_tokens",),)
_TOTAL = (("total_tokens",),)
_REASONING = (("completion_tokens_details", "reasoning_tokens"), ("reasoning_tokens",))
_CACHED_INPUT = (
    ("prompt_tokens_details", "cached_tokens"),
    ("prompt_cache_hit_tokens",),
    ("cached_tokens",),
)


def _count(counts: dict[str, object], places: Sequence[Sequence[str]]) -> int | None:
    for *groups, name in places:
        group: object = counts
        for inner in groups:
            group = group.get(inner) if isinstance(group, dict) else None
        if isinstance(group, dict) and (number := count(group.get(name))) is not None:
            return number
    return None
