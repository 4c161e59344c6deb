"""Media types of attachments, and the first bytes by which their contents are recognised."""

import codecs
from collections.abc import Mapping
from posixpath import splitext
from urllib.parse import urlsplit

MAX_ATTACHMENT_BYTES = 20 * 1024 * 1024
MAX_ATTACHMENTS = 16
MAX_MEDIA_TYPE_CHARACTERS = 127

_DECODED_AT_ONCE = 256 * 1024

# https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern, #signature-for-wave, #signature-for-mp3-without-id3
_STARTS: Mapping[str, tuple[bytes, ...]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "application/pdf": (b"%PDF-",),
    "audio/mpeg": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa"),
}
_RIFF_FORMS = {"image/webp": b"WEBP", "audio/wav": b"WAVE"}
_SYNONYMS = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
}
_BY_EXTENSION = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".pdf": "application/pdf",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
}
SUPPORTED = "png, jpeg, webp or gif images, application/pdf, wav or mpeg audio, or text"


def canonical_media_type(text: str) -> str | None:
    """Return the media type in lower case without parameters; None if it is not supported."""
    media_type = text.partition(";")[0].strip().lower()
    media_type = _SYNONYMS.get(media_type, media_type)
    kind, _, subtype = media_type.partition("/")
    if media_type in _STARTS or media_type in _RIFF_FORMS:
        return media_type
    if len(media_type) > MAX_MEDIA_TYPE_CHARACTERS:
        return None
    is_token = bool(subtype) and all(c.isalnum() or c in ".+-" for c in subtype)
    return media_type if kind == "text" and is_token and media_type.isascii() else None


def media_type_of_url(url: str) -> str | None:
    """Return the media type that the extension in a URL's path states; None if it states none."""
    return _BY_EXTENSION.get(splitext(urlsplit(url).path)[1].lower())


def has_media_type(content: bytes, media_type: str) -> bool:
    """Return whether the first bytes of `content` are those of its media type; a text is UTF-8 without NUL."""
    if starts := _STARTS.get(media_type):
        return content.startswith(starts)
    if form := _RIFF_FORMS.get(media_type):
        return content[:4] == b"RIFF" and content[8:12] == form
    return b"\0" not in content and _is_utf8(content)


def _is_utf8(content: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(content)
    try:
        for start in range(0, len(view), _DECODED_AT_ONCE):
            decoder.decode(bytes(view[start : start + _DECODED_AT_ONCE]))
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
