"""The finish reasons of providers and their meanings."""

from domain.entities.reply import FinishReason

_WORDS = {
    FinishReason.STOP: (
        "stop",
        "end",
        "eos",
        "eos_token",
        "end_turn",
        "stop_sequence",
        "done",
        "complete",
        "completed",
    ),
    FinishReason.LENGTH: (
        "length",
        "max_tokens",
        "model_length",
        "max_output_tokens",
        "incomplete",
        "continuation",
        "pause_turn",
        "model_context_window_exceeded",
    ),
    FinishReason.CONTENT_FILTER: (
        "content_filter",
        "safety",
        "sensitive",
        "refusal",
        "blocklist",
        "prohibited_content",
        "recitation",
        "spii",
        "language",
        "model_armor",
        "content_filtered",
        "guardrail_intervened",
    ),
    FinishReason.TOOL_CALLS: ("tool_calls", "function_call", "tool_use"),
    FinishReason.ERROR: ("error", "network_error"),
}
_MEANINGS = {word: meaning for meaning, words in _WORDS.items() for word in words}
_PREFIXES = (
    ("malformed_", FinishReason.ERROR),
    ("image_", FinishReason.CONTENT_FILTER),
)
_UNSET = frozenset(
    {"", "null", "none", "finish_reason_unspecified", "blocked_reason_unspecified"}
)  # as a string; JSON's null is unset too


def finish_reason_of(word: str) -> FinishReason | None:
    """Return the meaning of `word`, ignoring case; None for an unknown word."""
    word = word.strip().lower()
    meaning = _MEANINGS.get(word)
    if meaning is None:
        for prefix, shared in _PREFIXES:
            if word.startswith(prefix):
                return shared
    return meaning


def is_unset(word: object) -> bool:
    """Return whether the value of a finish reason means that the answer continues."""
    return not word or (isinstance(word, str) and word.strip().lower() in _UNSET)
