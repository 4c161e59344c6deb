"""Dialects of requests, and the adaptations that refusals of a provider ask for."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from domain.entities.items import Text, ToolResult, tool_results
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.tools import ReasoningEffort
from infra.llm.transport.errors.body import WireError

INT64 = (-(2**63), 2**63)
INT32 = (-(2**31), 2**31)
_SMALL = (0, 2**31)
"""Accepted by every server that accepts a seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How requests of one route are written.

    Attributes:
        stream: Request the answer as a stream; False: as one document.
        stream_options: Request the token counts of a stream.
        limit_field: The name of the limit on output.
        system_role: Send instructions in a field of their own; False: at the start of the first user message.
        seeds: Smallest seed and bound; None: no seed is sent.
        prefill_ends_in_space: A partial answer may end in white space.
        reasoning_field: The field that reasoning is sent back in; None: the one it came in, "none": it is not sent.
        reasoning_effort: Send the effort that the caller requested.
        minimal_thinking_level: Send Gemini's level MINIMAL; False: LOW instead.
        parallel_tool_calls: Send whether an answer may have several calls.
        short_call_ids: Ids of calls have nine letters and digits.
        strict_tools: Send that arguments must follow the schema exactly.
        response_schema: Send the schema of an answer in a field of its own; False: in the instructions.
        prompt_cache_key: Send the caller's key of requests with a common beginning.
        cache_points: Mark what the provider is to cache.
        sampling: Send temperature and `top_p`; "one": of both the temperature alone, "none": neither.
    """

    stream: bool = True
    stream_options: bool = True
    limit_field: str = "max_tokens"
    system_role: bool = True
    seeds: tuple[int, int] | None = INT64
    prefill_ends_in_space: bool = True
    reasoning_field: str | None = None
    reasoning_effort: bool = True
    minimal_thinking_level: bool = True
    parallel_tool_calls: bool = True
    short_call_ids: bool = False
    strict_tools: bool = True
    response_schema: bool = True
    prompt_cache_key: bool = False
    cache_points: bool = False
    sampling: str = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """A change of dialect that a refusal may ask for.

    Attributes:
        description: How requests are sent from then on, for the log.
        changes: New values of fields of the dialect.
        applies: Whether the refusal requires it, and the request contains the refused part.
        is_lasting: It holds for later requests too; False where only a value of this one was refused.
    """

    description: str
    changes: dict[str, object]
    applies: Callable[[WireError, Prompt, Dialect], bool]
    is_lasting: bool = True


def prefill_of(prompt: Prompt) -> str | None:
    """Return the partial answer that the model is to continue; None where there is none."""
    last = prompt.messages[-1]
    return last.text if last.role is Role.ASSISTANT else None


def in_dialect(prompt: Prompt, dialect: Dialect) -> Prompt:
    """Return `prompt` without the parts that the provider does not support; unchanged where it supports all."""
    if not dialect.system_role and prompt.system:
        prompt = _with_system_folded(prompt)
    if not dialect.prefill_ends_in_space and (prefill := prefill_of(prompt)) is not None:
        prompt = _with_prefill(prompt, prefill.rstrip())
    if prompt.seed is not None:
        prompt = replace(prompt, seed=_seed_within(dialect.seeds, prompt.seed))
    if prompt.reasoning_effort is not None and not dialect.reasoning_effort:
        prompt = replace(prompt, reasoning_effort=None)
    if dialect.sampling == "none":
        prompt = replace(prompt, temperature=None, top_p=None)
    elif dialect.sampling == "one" and prompt.temperature is not None:
        prompt = replace(prompt, top_p=None)
    return prompt


def _with_system_folded(prompt: Prompt) -> Prompt:
    position = next(n for n, message in enumerate(prompt.messages) if message.role is Role.USER)
    first = prompt.messages[position]
    folded = replace(first, text=f"{prompt.system}\n\n{first.text}")
    if first.items:
        # results stay first, since they answer the message before
        results = tool_results(first.items)
        others = [item for item in first.items if not isinstance(item, ToolResult)]
        system = Text(text=f"{prompt.system}\n\n")
        folded = replace(folded, items=(*results, system, *others))
    messages = (*prompt.messages[:position], folded, *prompt.messages[position + 1 :])
    return replace(prompt, messages=messages, system="")


def _with_prefill(prompt: Prompt, prefill: str) -> Prompt:
    earlier = prompt.messages[:-1]
    if not prefill:
        return replace(prompt, messages=earlier)  # no provider accepts an empty message
    return replace(prompt, messages=(*earlier, Message(role=Role.ASSISTANT, text=prefill)))


def _seed_within(seeds: tuple[int, int] | None, seed: int) -> int | None:
    """Return a seed that the provider accepts: one out of range becomes its remainder, always the same one."""
    if seeds is None:
        return None
    least, bound = seeds
    return seed if least <= seed < bound else seed % bound


_UNKNOWN_BEFORE = (
    r"(?:unknown|unsupported|unrecogni[sz]ed|unexpected|extra|not support|n't support|not permitted"
    r"|not allowed|no such|invalid param\w*:)"
)
_UNKNOWN_AFTER = (
    r"(?:unknown|unsupported|unrecogni[sz]ed|unexpected|extra|not (?:be )?(?:support|permit|allow"
    r"|recogni|known|implement)\w*|n't support\w*|不支持)"
)
_UNKNOWN_CODES = frozenset(
    {"unknownparameter", "unsupportedparameter", "unsupportedvalue", "extraforbidden"}
)
# A server's list of supported fields does not contain the unknown one.
_EXPECTED_NAMES = re.compile(r",? ?\bexpected (?:one|any) of\b.*", re.DOTALL)
_STREAM = re.compile(
    r"verified to stream|n't support tool use in streaming mode\b|(?:\W|^)stream(?:ing|ed)?\W{0,2} (?:\w+ ){0,3}(?:not|un)[ -]?(?:yet )?"
    r"(?:support|allow|available|enabled|implement)"
    r"|(?:n't|not) (?:support|allow|implement)(?:ed|s)?:? (?:\w+ )?\W?stream(?:ing)?\b(?!_)"
    r"|unsupported \w+: \W?stream\b(?!_)|\bstream\W{1,3}(?:must|should|has to) be \W?false"
)
_ROLE = (
    r"(?:\b(?:system|developer)[ _-]?(?:role|message|prompt|instruction)s?\b"
    r"|\broles?\W{1,3}(?:system|developer)\b|['\"`](?:system|developer)['\"`])"
)
_SYSTEM = re.compile(
    rf"{_ROLE}.{{0,40}}(?:\bnot (?:supported|enabled|allowed|valid|permitted|one of)|\bunsupported"
    rf"|\binvalid|\bunexpected)|(?:not support|n't support|unsupported|unexpected|unknown|invalid)"
    rf".{{0,40}}{_ROLE}|\bonly user\b.{{0,40}}\broles?\b|\bgot system\b"
    r"|\bshould be 'user'(?:,| or)|\bunexpected (?:message )?role\b|\broles must alternate\b"
)
_WHITE_SPACE = re.compile(
    r"white ?space|trailing (?:space|newline|blank)|\bends? (?:with|in) a space"
)


def _names(field: str, error: WireError) -> bool:
    if error.param:
        return error.param.split(".")[0] == field
    message = _EXPECTED_NAMES.sub("", error.message)
    return re.search(rf"(?<!\w){field}(?!\w)", message) is not None


def _does_not_know(field: str, error: WireError) -> bool:
    """Return whether the refusal rejects the field itself rather than its value."""
    if error.param and error.param.split(".")[0] != field:
        return False
    if error.param and not error.codes.isdisjoint(_UNKNOWN_CODES):
        return True
    name = rf"(?<!\w){field}(?!\w)"
    return (
        re.search(
            rf"{_UNKNOWN_BEFORE}[^.\d]{{0,40}}{name}|{name}[^.\d]{{0,60}}{_UNKNOWN_AFTER}",
            _EXPECTED_NAMES.sub("", error.message),
        )
        is not None
    )


def _refuses_stream_options(error: WireError, _: Prompt, dialect: Dialect) -> bool:
    # Callers never set this field, so any complaint about it concerns our use of it.
    return dialect.stream and dialect.stream_options and _names("stream_options", error)


def _refuses_stream(error: WireError, _: Prompt, dialect: Dialect) -> bool:
    return dialect.stream and (error.param == "stream" or bool(_STREAM.search(error.message)))


def _refuses_limit_field(field: str, other: str) -> Callable[[WireError, Prompt, Dialect], bool]:
    names_the_other = re.compile(rf"\buse \W?{other}\b")

    def applies(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
        if prompt.max_output_tokens is None or dialect.limit_field != field:
            return False
        return _does_not_know(field, error) or bool(names_the_other.search(error.message))

    return applies


def _refuses_system_role(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    return bool(prompt.system) and dialect.system_role and bool(_SYSTEM.search(error.message))


def _refuses_prefill_ending(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    prefill = prefill_of(prompt)
    if prefill is None or not dialect.prefill_ends_in_space or prefill == prefill.rstrip():
        return False
    return _WHITE_SPACE.search(error.message) is not None


def _refuses_large_seed(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    if prompt.seed is None or dialect.seeds != INT64:
        return False
    return not _SMALL[0] <= prompt.seed < _SMALL[1] and _names("seed", error)


def _refuses_seed(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    return prompt.seed is not None and dialect.seeds is not None and _does_not_know("seed", error)


def _refuses_reasoning_effort(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    if prompt.reasoning_effort is None or not dialect.reasoning_effort:
        return False
    if _refuses_a_value(prompt.reasoning_effort.value, error) or _REFUSED_LEVEL.search(
        error.message
    ):
        return False
    return any(_does_not_know(field, error) for field in _EFFORT_FIELDS)


def _refuses_this_effort(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    if prompt.reasoning_effort is None or not dialect.reasoning_effort:
        return False
    return any(_names(field, error) for field in _EFFORT_FIELDS)


def _refuses_minimal_level(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    if not dialect.minimal_thinking_level or prompt.reasoning_effort not in _LEAST_EFFORTS:
        return False
    refused = _REFUSED_LEVEL.search(error.message)
    return refused is not None and refused[1] == "minimal"


def _refuses_a_value(value: str, error: WireError) -> bool:
    return re.search(rf"['\"`]{value}['\"`]", error.message) is not None


_LEAST_EFFORTS = (ReasoningEffort.NONE, ReasoningEffort.MINIMAL)
# Google names the refused level without quotation marks.
_REFUSED_LEVEL = re.compile(r"\bthinking level (minimal|low|medium|high) is not supported\b")
_EFFORT_FIELDS = (
    "reasoning_effort",
    "reasoning",
    "reasoningconfig",
    "thinking",
    "effort",
    r"outputconfig\.effort",
    "output_config",
)


def _refuses_both_samplings(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    if prompt.temperature is None or prompt.top_p is None or dialect.sampling != "both":
        return False
    return _BOTH_SAMPLINGS.search(error.message) is not None


def _refuses_sampling(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    if dialect.sampling == "none" or (prompt.temperature is None and prompt.top_p is None):
        return False
    return any(
        _does_not_know(field, error)
        or re.search(rf"\b{field}\b.{{0,20}}\bdeprecated", error.message)
        for field in ("temperature", "top_?p")
    )


def _refuses_prompt_cache_key(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    if not dialect.prompt_cache_key or prompt.caching is None or prompt.caching.key is None:
        return False
    return _names("prompt_cache_key", error)


def _refuses_cache_points(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    return _may_have_points(prompt, dialect) and bool(_WITHOUT_CACHE.search(error.message))


def _refuses_these_cache_points(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    return _may_have_points(prompt, dialect) and bool(_CACHE_FIELDS.search(error.message))


def _may_have_points(prompt: Prompt, dialect: Dialect) -> bool:
    is_marked = prompt.caching is not None or any(each.cache_marks for each in prompt.messages)
    return dialect.cache_points and is_marked


def _refuses_strict_tools(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    if not dialect.strict_tools or not any(tool.is_strict for tool in prompt.tools):
        return False
    return _does_not_know("strict", error)


def _refuses_response_schema(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    wanted = prompt.response_format
    if not dialect.response_schema or wanted is None or wanted.schema is None:
        return False
    return any(_does_not_know(field, error) for field in _SCHEMA_FIELDS)


_SCHEMA_FIELDS = (
    r"outputconfig(?:\.textformat)?",
    "textformat",
    r"output_config\.format",
    "output_format",
    "response_format",
    "json_schema",
    r"structured[ _]outputs?",
)


def _refuses_parallel_tool_calls(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    if prompt.parallel_tool_calls is None or not dialect.parallel_tool_calls:
        return False
    return _names("parallel_tool_calls", error)


def _refuses_reasoning(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    if dialect.reasoning_field == "none" or not _has_items(prompt):
        return False
    place = f"{error.param} {error.message}"
    if not re.search(r"(?<!\w)reasoning(?:_content|_details)?(?!\w)", place):
        return False
    return re.search(_UNKNOWN_AFTER, error.message) is not None


def _wants_reasoning_back(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    if dialect.reasoning_field == "reasoning_content":
        return False
    return bool(_REASONING_BACK.search(error.message)) and _has_items(prompt)


def _wants_short_call_ids(error: WireError, prompt: Prompt, dialect: Dialect) -> bool:
    if dialect.short_call_ids or not _has_items(prompt):
        return False
    return bool(_SHORT_IDS.search(error.message))


def _has_items(prompt: Prompt) -> bool:
    return any(message.items for message in prompt.messages)


_REASONING_BACK = re.compile(
    r"\breasoning_content\b.{0,60}\b(?:must|passed back|missing|required)\b"
)
_WITHOUT_CACHE = re.compile(
    rf"\bprompt caching\b|{_UNKNOWN_BEFORE}[^.\d]{{0,40}}\bcachepoint\b|\bcachepoint\b[^.\d]{{0,60}}{_UNKNOWN_AFTER}"
)
_CACHE_FIELDS = re.compile(r"\bcachepoint\b|\bcache_control\b|\bttl\b")
_BOTH_SAMPLINGS = re.compile(r"\btemperature\b.{1,10}\btop_p\b.{0,20}\bboth\b")
_SHORT_IDS = re.compile(r"\btool[ _]call[ _]id\b.{0,120}\blength of 9\b", re.DOTALL)

_SYSTEM_ROLE = Adaptation(
    description="with instructions in the first message of the user",
    changes={"system_role": False},
    applies=_refuses_system_role,
)
_PREFILL = Adaptation(
    description="with partial answers that do not end in white space",
    changes={"prefill_ends_in_space": False},
    applies=_refuses_prefill_ending,
)
_EFFORT = (
    Adaptation(
        description="without a reasoning effort",
        changes={"reasoning_effort": False},
        applies=_refuses_reasoning_effort,
    ),
    Adaptation(
        description="without this reasoning effort",
        changes={"reasoning_effort": False},
        applies=_refuses_this_effort,
        is_lasting=False,
    ),
)
_WITHOUT_STREAM = Adaptation(
    description="without stream", changes={"stream": False}, applies=_refuses_stream
)

OPENAI_ADAPTATIONS = (
    Adaptation(
        description="without stream_options",
        changes={"stream_options": False},
        applies=_refuses_stream_options,
    ),
    Adaptation(
        description="with max_completion_tokens",
        changes={"limit_field": "max_completion_tokens"},
        applies=_refuses_limit_field("max_tokens", "max_completion_tokens"),
    ),
    Adaptation(
        description="with max_tokens",
        changes={"limit_field": "max_tokens"},
        applies=_refuses_limit_field("max_completion_tokens", "max_tokens"),
    ),
    _WITHOUT_STREAM,
    _SYSTEM_ROLE,
    _PREFILL,
    Adaptation(
        description="with seeds of 31 bits", changes={"seeds": _SMALL}, applies=_refuses_large_seed
    ),
    Adaptation(description="without seed", changes={"seeds": None}, applies=_refuses_seed),
    *_EFFORT,
    Adaptation(
        description="without prompt_cache_key",
        changes={"prompt_cache_key": False},
        applies=_refuses_prompt_cache_key,
    ),
    Adaptation(
        description="without parallel_tool_calls",
        changes={"parallel_tool_calls": False},
        applies=_refuses_parallel_tool_calls,
    ),
    Adaptation(
        description="without reasoning in earlier answers",
        changes={"reasoning_field": "none"},
        applies=_refuses_reasoning,
    ),
    Adaptation(
        description="with reasoning_content in earlier answers",
        changes={"reasoning_field": "reasoning_content"},
        applies=_wants_reasoning_back,
    ),
    Adaptation(
        description="with call ids of nine characters",
        changes={"short_call_ids": True},
        applies=_wants_short_call_ids,
    ),
)
GEMINI_ADAPTATIONS = (
    _SYSTEM_ROLE,
    _PREFILL,
    Adaptation(
        description="with the thinking level LOW instead of MINIMAL",
        changes={"minimal_thinking_level": False},
        applies=_refuses_minimal_level,
    ),
    *_EFFORT,
)
_SAMPLING = (
    Adaptation(
        description="without top_p next to a temperature",
        changes={"sampling": "one"},
        applies=_refuses_both_samplings,
    ),
    Adaptation(
        description="without temperature and top_p",
        changes={"sampling": "none"},
        applies=_refuses_sampling,
    ),
)
_STRICT_TOOLS = Adaptation(
    description="without strict tools",
    changes={"strict_tools": False},
    applies=_refuses_strict_tools,
)
ANTHROPIC_ADAPTATIONS = (_WITHOUT_STREAM, *_SAMPLING, *_EFFORT, _STRICT_TOOLS)
BEDROCK_ADAPTATIONS = (
    _WITHOUT_STREAM,
    _SYSTEM_ROLE,
    *_SAMPLING,
    *_EFFORT,
    _STRICT_TOOLS,
    Adaptation(
        description="with the schema of an answer in the instructions",
        changes={"response_schema": False},
        applies=_refuses_response_schema,
    ),
    Adaptation(
        description="without points of the prompt cache",
        changes={"cache_points": False},
        applies=_refuses_cache_points,
    ),
    Adaptation(
        description="without these points of the prompt cache",
        changes={"cache_points": False},
        applies=_refuses_these_cache_points,
        is_lasting=False,
    ),
)
