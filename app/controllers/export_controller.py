"""/v1/history/{userId}/export."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from app.controllers.history_controller import UserIdInPath
from app.dto.native.export_formats import (
    MEDIA_TYPES,
    ExportFormat,
    encode_header,
    encode_interactions,
)
from app.dto.wire import Dto
from app.problems.problem_schema import problems
from app.requests.request_context import caller_of, container_of, user_in_path
from app.requests.strict_route import StrictRoute
from app.responses.file_download import FileDownload
from domain.entities.interaction import Interaction

router = APIRouter(prefix="/v1/history", route_class=StrictRoute, tags=["history"])

_FILE = {
    "application/x-ndjson": {
        "schema": {"type": "string"},
        "example": '{"id":"019aabb1-…","userId":"ana","userPrompt":"Hello","response":"Hi","…":"…"}\n',
    },
    "text/csv": {
        "schema": {"type": "string"},
        "example": "id,userId,conversationId,timestamp,userPrompt,…\r\n019aabb1-…,ana,,2026-11-22T10:00:00.123Z,Hello,…\r\n",
    },
}


class ExportParameters(Dto):
    """The query of GET /v1/history/{userId}/export."""

    model_config = ConfigDict(hide_input_in_errors=True)

    format: ExportFormat = Field(
        default=ExportFormat.JSONL,
        description="`jsonl`: one interaction per line, with the same fields as in a history page. `csv`: flattened, with fixed columns; texts that a spreadsheet could evaluate as a formula get a leading `'`.",
    )
    bom: bool = Field(
        default=False,
        description="`true`: start the file with a byte order mark, which Excel needs to read it as UTF-8. Only with `format=csv`.",
    )

    @field_validator("bom")
    @classmethod
    def _only_for_csv(cls, bom: bool, info: ValidationInfo) -> bool:
        if bom and info.data.get("format") is ExportFormat.JSONL:
            raise ValueError("must be left out unless format is csv")
        return bom


@router.get(
    "/{userId}/export",
    summary="Download all of a user's history",
    response_class=Response,
    responses={
        200: {"description": "The file, oldest first.", "content": _FILE},
        **problems(401, 403, 422, 429, 500, 503),
    },
)
async def export(
    user_id: UserIdInPath, parameters: Annotated[ExportParameters, Query()], request: Request
) -> Response:
    """All interactions of the user received before this request, of every status, each exactly once.

    The file is generated while it is sent. If the store fails meanwhile, the connection is closed before the end of
    the body, which clients report as an error: a file that arrives without an error is complete.
    """
    user_id = user_in_path(user_id, request)
    pages = container_of(request).history.export(caller_of(request), user_id)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", user_id)
    return await FileDownload(
        _encode_pages(parameters, pages),
        media_type=MEDIA_TYPES[parameters.format],
        name=f"history-{name}.{parameters.format}",
    ).begin()


async def _encode_pages(
    parameters: ExportParameters, pages: AsyncGenerator[Sequence[Interaction], None]
) -> AsyncGenerator[bytes, None]:
    header = encode_header(parameters.format, with_bom=parameters.bom)
    async with aclosing(pages):
        async for interactions in pages:
            yield header + encode_interactions(parameters.format, interactions)
            header = b""
