"""The root of the tree, and what belongs to no port."""

from typing import ClassVar


class DomainError(Exception):
    """Something the domain foresees.

    Attributes:
        code: A stable name, the slug of the problem a caller is shown.
    """

    code: ClassVar[str] = "internal"


class Forbidden(DomainError):
    """The caller may not do this.

    Attributes:
        cause: One of the constants below; it decides the constant text a caller is shown.
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
    """The user has no interaction with that id."""

    code = "not-found"


class InvalidInput(DomainError):
    """A value that only the domain can judge.

    Attributes:
        field: The name of the value, as the domain spells it.
        message: What it has to be; never what it was.
    """

    code = "invalid-request"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field)
        self.field = field
        self.message = message


class InvalidCursor(DomainError):
    """Not a cursor of ours, or one for another user, filter or order."""

    code = "invalid-cursor"


class UnknownModel(DomainError):
    """No model of the catalogue has this id or alias.

    Attributes:
        known: The ids that exist.
    """

    code = "unknown-model"

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__("unknown model")
        self.known = known


class RetiredModel(UnknownModel):
    """The provider no longer offers it.

    Attributes:
        successor: The id to ask instead; None when none is known.
    """

    def __init__(self, known: tuple[str, ...], successor: str | None) -> None:
        super().__init__(known)
        self.successor = successor


class Overloaded(DomainError):
    """More requests at once than the service takes; try again at once."""

    code = "overloaded"
