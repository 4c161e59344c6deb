"""Azure OpenAI: its header, and what its content filter adds to answers."""

from typing import Any

from tests.fakes.behaviour import Raw
from tests.fakes.http_provider import Seen
from tests.fakes.openai import DONE, FakeOpenAI, error, event, whole

SAFE = {
    name: {"filtered": False, "severity": "safe"}
    for name in ("hate", "self_harm", "sexual", "violence")
}
FILTERED = SAFE | {"violence": {"filtered": True, "severity": "medium"}}
PROMPT_RESULTS = {
    "choices": [],
    "created": 0,
    "id": "",
    "model": "",
    "object": "",
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": SAFE}],
}
"""The first chunk of a stream."""
_OFFSETS = {"check_offset": 20, "start_offset": 0, "end_offset": 44}


class FakeAzure(FakeOpenAI):
    """Speaks `/chat/completions` under `/openai/v1` to callers whose key is in `api-key`."""

    @property
    def base_url(self) -> str:
        return f"{self.origin}/openai/v1"

    def refusal_of(self, seen: Seen) -> Raw | None:
        if seen.path != "/openai/v1/chat/completions":
            return error(404, code="404", message="Resource not found")
        if seen.headers.get("api-key") != self.api_key or "Authorization" in seen.headers:
            message = "Access denied due to invalid subscription key or wrong API endpoint."
            return whole({"error": {"code": "401", "message": message}}, status=401)
        return self.violation_of(seen)


def chunk(delta: dict[str, Any] | None, finish_reason: str | None = None, **more: Any) -> Any:
    """Return a chunk; one of the filter alone has no delta."""
    choice = {"index": 0, "finish_reason": finish_reason, "logprobs": None, **more}
    if delta is not None:
        choice["delta"] = delta
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
    return {**head, "choices": [choice], "system_fingerprint": "fp_1"}


def answer(*texts: str, finish_reason: str = "stop", is_asynchronous: bool = False) -> Raw:
    """Return a stream of these texts.

    Args:
        texts: The pieces.
        finish_reason: `content_filter` where the filter ends it.
        is_asynchronous: The filter sends its results in chunks of their own, after the text.
    """
    results = FILTERED if finish_reason == "content_filter" else SAFE
    events = [PROMPT_RESULTS, chunk({"role": "assistant", "content": "", "refusal": None})]
    if is_asynchronous:
        events += [chunk({"content": text}) for text in texts]
        events.append(chunk(None, content_filter_results=SAFE, content_filter_offsets=_OFFSETS))
        events.append(
            chunk(
                None,
                finish_reason,
                content_filter_results=results,
                content_filter_offsets=_OFFSETS,
            )
        )
    else:
        events += [chunk({"content": text}, content_filter_results=SAFE) for text in texts]
        events.append(chunk({}, finish_reason, content_filter_results=results))
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    return Raw([*map(event, events), event({**PROMPT_RESULTS, "usage": usage}), DONE])


def filtered_prompt() -> Any:
    """Return the body of the refusal of a prompt, which comes with status 400."""
    inner = {
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": {**FILTERED, "jailbreak": {"filtered": False, "detected": False}},
    }
    message = (
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify"
        " your prompt and retry. To learn more about our content filtering policies please read our documentation."
    )
    return {
        "error": {
            "message": message,
            "type": None,
            "param": "prompt",
            "code": "content_filter",
            "status": 400,
            "innererror": inner,
        }
    }
