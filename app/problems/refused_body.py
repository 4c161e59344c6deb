"""The error of a request body that cannot be read."""

from collections.abc import Mapping

from fastapi.exceptions import HTTPException

from app.problems.problem_table import ProblemKind


class RefusedBody(HTTPException):
    """A request body that is too large, of a wrong kind, or malformed.

    An `HTTPException`, because FastAPI lets no other exception out of reading a body as it is.

    Attributes:
        kind: The row of the problem table.
        headers: Sent with the answer beside the usual ones.
    """

    def __init__(self, kind: ProblemKind, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(kind.status, headers=headers)
        self.kind = kind
