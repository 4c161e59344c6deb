"""The base class of all domain errors, and errors that belong to no port."""

from collections.abc import Sequence
from typing import ClassVar


class DomainError(Exception):
    """Base class of expected errors.

    Attributes:
        code: Stable name; the slug of the problem type in responses.
    """

    code: ClassVar[str] = "internal"


class Forbidden(DomainError):
    """The caller is not allowed to do this.

    Attributes:
        cause: One of the constants below; selects the text of the response.
    """

    code = "forbidden"

    USER: ClassVar[str] = "user"
    SCOPE: ClassVar[str] = "scope"
    CLIENT: ClassVar[str] = "client"
    HOST: ClassVar[str] = "host"
    PROXY: ClassVar[str] = "proxy"

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class NotFound(DomainError):
    """The user has no interaction with this id."""

    code = "not-found"


class PreviousResponseNotFound(NotFound):
    """The response to continue does not exist, or belongs to another user."""

    code = "previous-response-not-found"


class ItemNotFound(NotFound):
    """An item that the request refers to does not exist, or belongs to another user.

    Attributes:
        item_id: As the request names it.
    """

    code = "item-not-found"

    def __init__(self, item_id: str) -> None:
        super().__init__("no such item")
        self.item_id = item_id


class InvalidInput(DomainError):
    """A value that violates a rule of the domain.

    Attributes:
        field: Name of the value in the domain.
        message: Description of valid values, without the given value.
    """

    code = "invalid-request"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field)
        self.field = field
        self.message = message


class UnsupportedInput(DomainError):
    """A value that the API format defines and this service does not support.

    Attributes:
        field: Name of the value in the request.
        detail: What is not supported, such as the type of a tool; empty if the field says it.
    """

    code = "unsupported-parameter"

    def __init__(self, field: str, detail: str = "") -> None:
        super().__init__(field)
        self.field = field
        self.detail = detail


class InvalidCursor(DomainError):
    """Not a cursor of this service, or one for another user, filter or order."""

    code = "invalid-cursor"


class UnknownModel(DomainError):
    """No model of the catalogue has this id or alias.

    Attributes:
        known: Ids of the catalogue.
    """

    code = "unknown-model"

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__("unknown model")
        self.known = known


class RetiredModel(UnknownModel):
    """The provider no longer offers the model.

    Attributes:
        successor: Id of the model to use instead; None if unknown.
    """

    def __init__(self, known: tuple[str, ...], successor: str | None) -> None:
        super().__init__(known)
        self.successor = successor


class InvalidAttachment(DomainError):
    """An attachment is unknown, too large, or of another type than stated.

    Attributes:
        message: What is wrong with it.
        position: Its number among the attachments of the request; None if unknown.
        field: Its place in a request that has no list of attachments; None in others.
    """

    code = "invalid-attachment"

    def __init__(
        self, message: str, position: int | None = None, *, field: str | None = None
    ) -> None:
        super().__init__("invalid attachment")
        self.message = message
        self.position = position
        self.field = field


class NoSuchOpenCall(InvalidInput):
    """Tool results whose calls do not exist, or are answered already.

    Attributes:
        call_ids: The ids that they name.
    """

    def __init__(self, field: str, call_ids: Sequence[str]) -> None:
        super().__init__(field, "no open call has such an id")
        self.call_ids = tuple(call_ids)


class ToolResultsMissing(DomainError):
    """The request answers only a part of the open tool calls.

    Attributes:
        call_ids: Ids of the calls without a result.
    """

    code = "tool-results-missing"

    def __init__(self, call_ids: Sequence[str]) -> None:
        super().__init__("tool results are missing")
        self.call_ids = tuple(call_ids)


class UnsupportedByModel(DomainError):
    """The requested model lacks a capability that the request needs.

    Attributes:
        capability: Name of the missing capability.
        models: Ids of the catalogue that have all the request needs.
    """

    code = "unsupported-by-model"

    def __init__(self, capability: str, models: Sequence[str]) -> None:
        super().__init__("unsupported by the model")
        self.capability = capability
        self.models = tuple(models)


class Overloaded(DomainError):
    """The service has too many concurrent requests; an immediate retry may succeed."""

    code = "overloaded"


class CannotContinue(DomainError):
    """None of the models that may answer can continue a partial answer; no provider was called."""
