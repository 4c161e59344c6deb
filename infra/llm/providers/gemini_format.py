"""Gemini's JSON: requests and events of `streamGenerateContent`."""

import orjson

from domain.entities.prompt import Prompt, Role
from domain.entities.reply import NO_USAGE, FinishReason, Usage
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from infra.llm.transport.finish_reasons import finish_reason_of, is_unset
from infra.llm.transport.response_parser import AnswerReader, count

_ROLES = {Role.USER: "user", Role.ASSISTANT: "model"}


def request_body(prompt: Prompt) -> bytes:
    """Return the body of a request; options the caller did not set are not sent."""
    config: dict[str, object] = {}
    if prompt.temperature is not None:
        config["temperature"] = prompt.temperature
    if prompt.max_output_tokens is not None:
        config["maxOutputTokens"] = prompt.max_output_tokens
    if prompt.top_p is not None:
        config["topP"] = prompt.top_p
    if prompt.stop:
        config["stopSequences"] = prompt.stop
    if prompt.seed is not None:
        config["seed"] = prompt.seed
    body: dict[str, object] = {
        "contents": [
            {"role": _ROLES[message.role], "parts": [{"text": message.text}]}
            for message in prompt.messages
        ]
    }
    if prompt.system:
        body["systemInstruction"] = {"parts": [{"text": prompt.system}]}
    if config:
        body["generationConfig"] = config
    return orjson.dumps(body)


class GeminiReader(AnswerReader):
    """Reads `GenerateContentResponse` objects."""

    def __init__(self) -> None:
        self.finish_reason: FinishReason | None = None
        self.is_reason_unknown = False
        self.has_progress = False
        self._counts: object = None

    def take(self, document: object) -> str:
        # Fast path for the common event shape.
        if type(document) is dict and "error" not in document:
            try:
                candidate = document["candidates"][0]
                (part,) = candidate["content"]["parts"]
                text = part["text"]
            except (LookupError, TypeError, ValueError):
                return self._take_any(document)
            if type(text) is str and "thought" not in part:
                if counts := document.get("usageMetadata"):
                    self._counts = counts
                if "finishReason" in candidate:
                    self._take_reason(candidate["finishReason"])
                return text
        return self._take_any(document)

    def _take_any(self, document: object) -> str:
        if type(document) is list:  # the format without `alt=sse`
            return "".join([self._take_object(item) for item in document])
        return self._take_object(document)

    def _take_object(self, document: object) -> str:
        if type(document) is not dict:
            raise UnreadableAnswer("not an object")
        if counts := document.get("usageMetadata"):
            self._counts = counts  # each event carries the running totals, one with an error too
        if document.get("error"):
            raise ErrorInAnswer(document)
        candidates = document.get("candidates")
        if not candidates:
            self._take_feedback(document.get("promptFeedback"))
            return ""
        if type(candidates) is not list or type(candidate := candidates[0]) is not dict:
            raise UnreadableAnswer("candidates of a wrong shape")
        self._take_reason(candidate.get("finishReason"))
        content = candidate.get("content")
        return self._text(content) if content is not None else ""

    def _take_reason(self, reason: object) -> None:
        if is_unset(reason):
            return
        if type(reason) is not str:
            raise UnreadableAnswer("a finish reason that is not a string")
        if self.finish_reason is not FinishReason.CONTENT_FILTER:
            # without a `[DONE]`, an answer that ended for an unknown reason may be incomplete
            self.finish_reason = finish_reason_of(reason) or FinishReason.ERROR

    def done(self) -> None:
        """Ignored: Gemini sends no such event, and a proxy that does must still send a finish reason."""

    def usage(self) -> Usage:
        counts = self._counts
        if not isinstance(counts, dict):
            return NO_USAGE
        answer = count(counts.get("candidatesTokenCount"))
        thoughts = count(counts.get("thoughtsTokenCount"))
        return Usage(
            input_tokens=count(counts.get("promptTokenCount")),
            # Thoughts are billed as output and not included in the candidates' count.
            output_tokens=_sum(answer, thoughts),
            reasoning_tokens=thoughts,
            total_tokens=count(counts.get("totalTokenCount")),
            cached_input_tokens=count(counts.get("cachedContentTokenCount")),
        )

    def _take_feedback(self, feedback: object) -> None:
        if type(feedback) is dict and not is_unset(feedback.get("blockReason")):
            self.finish_reason = FinishReason.CONTENT_FILTER

    def _text(self, content: object) -> str:
        """Return the text parts of a candidate's content, without the model's thoughts."""
        if type(content) is not dict:
            raise UnreadableAnswer("content of a wrong shape")
        parts = content.get("parts") or []
        if type(parts) is not list:
            raise UnreadableAnswer("parts of a wrong shape")
        text = ""
        for part in parts:
            if type(part) is not dict:
                raise UnreadableAnswer("a part of a wrong shape")
            event = part.get("text")
            if event is None or part.get("thought"):
                # a thought, a call, or a signature
                self.has_progress = self.has_progress or bool(part)
                continue
            if type(event) is not str:
                raise UnreadableAnswer("a text that is not a string")
            text += event
        return text


def _sum(answer: int | None, thoughts: int | None) -> int | None:
    return None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0)
