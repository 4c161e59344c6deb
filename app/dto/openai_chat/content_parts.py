"""Content parts of a user's message that are not text, in OpenAI's format."""

from collections.abc import Mapping
from typing import Any

from app.dto.attachments import attachment_of_data, attachment_of_url
from domain.entities.items import Attachment, Text
from domain.exceptions import InvalidAttachment

MEDIA_TYPES = frozenset({"image_url", "input_audio", "file"})
"""Types of the parts that `to_item` converts, besides `text`."""

_AUDIO = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_BASE64 = ";base64,"


def to_item(part: Mapping[str, Any]) -> Text | Attachment:
    """Return the item of a content part.

    Raises:
        InvalidAttachment: It has not the form of OpenAI's API, or its content is not valid.
    """
    kind = part.get("type")
    value = part.get(str(kind))
    if kind == "text" and isinstance(value, str):
        return Text(text=value)
    if not isinstance(value, Mapping):
        raise InvalidAttachment(f"must have an object {kind}")
    if kind == "image_url":
        return _image(value.get("url"))
    if kind == "input_audio":
        return _audio(value.get("data"), value.get("format"))
    return _file(value)


def _image(url: object) -> Attachment:
    if not isinstance(url, str):
        raise InvalidAttachment("must have a url")
    if url.startswith("data:"):
        return attachment_of_data_url(url)
    return attachment_of_url(url, None)


def _audio(data: object, form: object) -> Attachment:
    if not isinstance(data, str) or not isinstance(form, str) or form not in _AUDIO:
        raise InvalidAttachment("must have data and a format, wav or mp3")
    return attachment_of_data(data, _AUDIO[form])


def _file(file: Mapping[str, Any]) -> Attachment:
    data, name = file.get("file_data"), file.get("filename")
    if not isinstance(data, str):
        raise InvalidAttachment("must have file_data; file_id is not supported")
    if name is not None and not isinstance(name, str):
        raise InvalidAttachment("must have a filename that is a text")
    if not data.startswith("data:"):
        return attachment_of_url(data, None, name)
    return attachment_of_data_url(data, name)


def attachment_of_data_url(url: str, name: str | None = None) -> Attachment:
    """Return the attachment in a data URL.

    Raises:
        InvalidAttachment: It is not one in base64, or its content is not valid.
    """
    head, separator, data = url.partition(_BASE64)
    if not separator:
        raise InvalidAttachment("must be a data URL in base64")
    return attachment_of_data(data, head.removeprefix("data:"), name)
