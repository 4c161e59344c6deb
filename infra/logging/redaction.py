"""The second line of defence against secrets in logs; the first is not to log them."""

import re

_REPLACEMENT = "[redacted]"

_NEEDLES = ("api", "authoriz", "passw", "secret", "bearer ", "sk-", "aiza", "rtg_", "eyj", "://")
"""Without one of these, in lower case, no pattern below can match: looking for them keeps ordinary lines cheap."""

# Every repetition is bounded or cannot be entered twice: a caller may write long texts into a URL that is logged.
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
    """Return a line of JSON without the secrets that can be told by their form; it stays valid JSON."""
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
