"""Text files that an operator edits: settings, the models file, lists of keys."""

import codecs

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_OTHER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


class NotUtf8(ValueError):
    """The file is not UTF-8; the message says what it is, as far as that can be seen, and what to do."""


def text_of(content: bytes) -> str:
    """Return the text of a file, without the byte order mark that some editors put before UTF-8.

    Raises:
        NotUtf8: It is in another encoding.
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
