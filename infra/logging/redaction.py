"""Removes secrets from log lines, as a second safeguard; the first is not to log them."""

import re

_REPLACEMENT = "[redacted]"

_NEEDLES = ("api", "authoriz", "passw", "secret", "bearer ", "sk-", "aiza", "rtg_", "eyj", "://")
"""No pattern below can match a line without one of these in lower case; checking them first keeps most lines cheap."""

# Repetitions are bounded, against catastrophic backtracking: a client may send long text in a URL that is logged.
_START = r"(?:\b|(?<=\\[nrtbf])|(?<=\\u00[0-9a-f]{2}))"
_TOKENS = re.compile(
    _START + r"(?:sk-[\w-]{12,}"
    r"|AIza[\w-]{12,}"
    r"|rtg_[A-Za-z0-9]{1,64}_[\w-]+"
    r"|eyJ[\w-]{6,}\.[\w-]+(?:\.[\w-]+)?)"
)
_SCHEMES = re.compile(_START + r"(bearer) {1,8}[\w.~+/=-]{6,}", re.IGNORECASE)
_URL_PASSWORD = re.compile(r'(://[^\s/?#:@"]{0,200}):[^\s"]{1,200}@')

_NAMES = r"(?:api[_-]?key|authorization|passw(?:or)?d|secret)[\w-]{0,32}"
_JSON_FIELD = re.compile(rf'("[\w-]{{0,32}}{_NAMES}":)"(?:[^"\\]|\\.)*"', re.IGNORECASE)
_IN_TEXT = re.compile(
    rf"""({_NAMES}(?:\\"|')?\s{{0,4}}[=:]\s{{0,4}}(?:\\"|')?)[^\s"'\\,;&]+""", re.IGNORECASE
)


def redact(line: str) -> str:
    """Return a line of JSON with recognisable secrets replaced; it stays valid JSON."""
    lower = line.lower()
    for needle in _NEEDLES:
        if needle in lower:
            return _redacted(line)
    return line


def _redacted(line: str) -> str:
    line = _TOKENS.sub(_REPLACEMENT, line)
    line = _SCHEMES.sub(rf"\1 {_REPLACEMENT}", line)
    line = _URL_PASSWORD.sub(rf"\1:{_REPLACEMENT}@", line)
    line = _JSON_FIELD.sub(rf'\1"{_REPLACEMENT}"', line)
    return _IN_TEXT.sub(rf"\1{_REPLACEMENT}", line)
