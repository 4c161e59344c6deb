"""Attachments in the native format."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field

from app.dto.attachments import MAX_NAME_CHARACTERS, attachment_of_data, attachment_of_url
from app.dto.wire import Dto, RequestDto, reject_nul
from domain.entities.items import Attachment
from domain.exceptions import InvalidAttachment

ATTACHMENT_ID_PATTERN = r"^[A-Za-z0-9_-]{43}$"

AttachmentId = Annotated[str, Field(pattern=ATTACHMENT_ID_PATTERN)]


class AttachmentDto(RequestDto):
    """An image, a document or audio: its bytes, the id of a stored one, or an https reference."""

    media_type: str | None = Field(
        default=None,
        max_length=128,
        description="Media type; required with `data`, and with `url` unless the file name in its path determines it.",
        examples=["image/png"],
    )
    data: str | None = Field(default=None, description="The bytes in base64, at most 20 MiB.")
    attachment_id: AttachmentId | None = Field(
        default=None, description="Id of an attachment of the same user."
    )
    url: str | None = Field(
        default=None,
        description="https reference for the provider; it is never fetched by this service.",
    )
    name: Annotated[str, AfterValidator(reject_nul)] | None = Field(
        default=None,
        max_length=MAX_NAME_CHARACTERS,
        description="Name of the file.",
        examples=["photo.png"],
    )

    def to_attachment(self, position: int) -> Attachment:
        """Return the attachment.

        Args:
            position: Its number in the request.

        Raises:
            InvalidAttachment: Not exactly one source is given, or it is not valid.
        """
        sources = (self.data, self.attachment_id, self.url)
        if sum(source is not None for source in sources) != 1:
            raise InvalidAttachment("must have exactly one of data, attachmentId and url", position)
        if self.url is not None:
            return attachment_of_url(self.url, self.media_type, self.name, position)
        if self.attachment_id is not None:
            return Attachment(id=self.attachment_id, media_type="", name=self.name)
        if self.media_type is None:
            raise InvalidAttachment("needs a mediaType", position)
        return attachment_of_data(self.data or "", self.media_type, self.name, position)


def _is_none(value: object) -> bool:
    return value is None


class StoredAttachmentDto(Dto):
    """An attachment of an interaction."""

    id: str | None = Field(description="For GET …/attachments/{id}; null for a reference.")
    media_type: str = Field(description="Media type.", examples=["image/png"])
    bytes: int | None = Field(description="Size; null for a reference.", examples=[2048])
    name: str | None = Field(description="Name of the file, if it was given.")
    url: str | None = Field(
        default=None, exclude_if=_is_none, description="Address of a reference; else absent."
    )

    @classmethod
    def from_attachment(cls, attachment: Attachment) -> Self:
        """Return the response object for `attachment`."""
        return cls(
            id=attachment.id,
            media_type=attachment.media_type,
            bytes=attachment.size_bytes,
            name=attachment.name,
            url=attachment.url,
        )


def attachment_document(attachment: Attachment) -> dict[str, Any]:
    """Return an attachment as JSON; a reference also has its `url`."""
    document: dict[str, Any] = {
        "id": attachment.id,
        "mediaType": attachment.media_type,
        "bytes": attachment.size_bytes,
        "name": attachment.name,
    }
    if attachment.url is not None:
        document["url"] = attachment.url
    return document
