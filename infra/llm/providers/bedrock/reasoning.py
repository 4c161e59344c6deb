"""The reasoning settings of Amazon Bedrock's models, which differ by maker."""

import re
from collections.abc import Mapping, Sequence

from domain.entities.prompt import Prompt
from domain.entities.tools import ReasoningEffort
from infra.llm.providers.anthropic.thinking import thinking_of

_CLAUDE = re.compile(r"(claude-.+)")
_NOVA = re.compile(r"\bnova-[2-9]")
_TAKES_EFFORT_OF_OPENAI = re.compile(r"\bgpt-|\bkimi\b|\bmoonshot")
_EFFORTS = {
    ReasoningEffort.MINIMAL: "low",
    ReasoningEffort.LOW: "low",
    ReasoningEffort.MEDIUM: "medium",
    ReasoningEffort.HIGH: "high",
    ReasoningEffort.EXTRA_HIGH: "high",
    ReasoningEffort.MAXIMUM: "high",
}


def reasoning_of(
    prompt: Prompt,
    effort: ReasoningEffort,
    *,
    upstream: str,
    limit: int,
    turns: Sequence[tuple[object, Sequence[object]]],
) -> tuple[Mapping[str, object], str | None]:
    """Return the fields of the model that set its reasoning, and the effort in the API's own field, None without one.

    Models of a maker not known here, and those behind an application inference profile, get the API's own field.

    Args:
        prompt: The request.
        effort: The requested effort.
        upstream: Id of the model or of its inference profile, or an ARN.
        limit: The limit on output, in tokens.
        turns: The role of each message and the kinds of its blocks, in Anthropic's words.
    """
    if (claude := _CLAUDE.search(upstream)) is not None:
        thinking, own = thinking_of(prompt, effort, model=claude[1], limit=limit, turns=turns)
        return {} if thinking is None else {"thinking": thinking}, own
    if _NOVA.search(upstream):
        if effort is ReasoningEffort.NONE:
            return {"reasoningConfig": {"type": "disabled"}}, None
        config = {"type": "enabled", "maxReasoningEffort": _EFFORTS[effort]}
        return {"reasoningConfig": config}, None
    if effort is ReasoningEffort.NONE:
        return {}, None
    if _TAKES_EFFORT_OF_OPENAI.search(upstream):
        return {"reasoning_effort": _EFFORTS[effort]}, None
    return {}, _EFFORTS[effort]
