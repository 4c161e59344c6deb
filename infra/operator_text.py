"""Text files that an operator edits: settings, the models file, lists of keys."""

import codecs

# Longer marks first, since the mark of UTF-32 begins with that of UTF-16.
_OTHER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


class NotUtf8(ValueError):
    """The file is not UTF-8; the message names the detected encoding, if any, and the correction."""


def text_of(content: bytes) -> str:
    """Decode a file as UTF-8, with or without a byte order mark.

    Raises:
        NotUtf8: The file has another encoding.
    """
    for mark, encoding in _OTHER_MARKS:
        if content.startswith(mark):
            raise NotUtf8(f"is {encoding} text: save it as UTF-8")
    if b"\0" in content:
        raise NotUtf8("holds NUL bytes, as UTF-16 text does: save it as UTF-8")
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise NotUtf8(f"is not UTF-8 text (line {line}): save it as UTF-8") from exc
