"""The thinking settings of Anthropic's models, at Anthropic and at other providers."""

import re
from collections.abc import Sequence

from domain.entities.prompt import Prompt, Role
from domain.entities.tools import ReasoningEffort, ToolMode

# Models before 4.6 take a number of tokens instead of an effort.
_TAKES_BUDGET = re.compile(
    r"claude-(?:[123]\b|[a-z]+-4(?:-[0-5])?(?:[-@](?:\d{8}|latest))?(?:-v\d+(?::\d+)?)?$)"
)
_LEAST_BUDGET = 1024
_BUDGETS = {
    ReasoningEffort.MINIMAL: 1024,
    ReasoningEffort.LOW: 1024,
    ReasoningEffort.MEDIUM: 8192,
    ReasoningEffort.HIGH: 24576,
    ReasoningEffort.EXTRA_HIGH: 24576,
    ReasoningEffort.MAXIMUM: 24576,
}
_EFFORTS = {ReasoningEffort.MINIMAL: "low"}
"""Words other than ours."""


def thinking_of(
    prompt: Prompt,
    effort: ReasoningEffort,
    *,
    model: str,
    limit: int,
    turns: Sequence[tuple[object, Sequence[object]]],
) -> tuple[dict[str, object] | None, str | None]:
    """Return the setting of thinking, None where the model cannot or decides itself, and the effort, None without one.

    Args:
        prompt: The request.
        effort: The requested effort.
        model: Anthropic's name for the model.
        limit: The limit on output, in tokens.
        turns: The role of each message, and the kinds of its blocks.
    """
    if effort is ReasoningEffort.NONE:
        return {"type": "disabled"}, None
    choice = prompt.tool_choice
    is_forced = bool(prompt.tools) and choice is not None and choice.mode is ToolMode.REQUIRED
    is_continued = prompt.messages[-1].role is Role.ASSISTANT
    may_think = not is_forced and not is_continued
    if not _TAKES_BUDGET.match(model):
        thinking: dict[str, object] = {"type": "adaptive", "display": "summarized"}
        return thinking if may_think else None, _EFFORTS.get(effort, effort.value)
    if not may_think or limit <= _LEAST_BUDGET or _lacks_thinking(turns):
        return None, None
    budget = max(_LEAST_BUDGET, min(_BUDGETS[effort], limit // 2))
    return {"type": "enabled", "budget_tokens": budget}, None


def _lacks_thinking(turns: Sequence[tuple[object, Sequence[object]]]) -> bool:
    """Return whether a call since the last question came without thinking, with which a budget is rejected.

    This concerns calls of other models, and clients that send no reasoning back.
    """
    for role, kinds in reversed(turns):
        if role == Role.USER.value and "tool_result" not in kinds:
            return False
        if "tool_use" in kinds and kinds[0] not in ("thinking", "redacted_thinking"):
            return True
    return False
