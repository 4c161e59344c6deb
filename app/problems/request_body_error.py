"""The error for a request body that cannot be read."""

from collections.abc import Mapping

from fastapi.exceptions import HTTPException

from app.problems.problem_table import ProblemKind


class RequestBodyError(HTTPException):
    """A request body that is too large, of an unsupported type, or malformed.

    An `HTTPException`, because FastAPI replaces any other exception raised while it reads a body.

    Attributes:
        kind: Kind of problem.
        headers: Additional headers of the response.
    """

    def __init__(self, kind: ProblemKind, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(kind.status, headers=headers)
        self.kind = kind
