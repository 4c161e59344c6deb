"""/v1/history/{userId}/attachments/{attachmentId}."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from app.controllers.history_controller import UserIdInPath
from app.dto.native.attachments import ATTACHMENT_ID_PATTERN
from app.problems.problem_schema import problems
from app.requests.request_context import caller_of, container_of, user_in_path
from app.requests.strict_route import StrictRoute

router = APIRouter(prefix="/v1/history", route_class=StrictRoute, tags=["history"])

_SAFE_HEADERS = {
    # the content was chosen by a user: no browser may run it as a page of this origin; `RequestScope` adds `nosniff`
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-store",
}
_CONTENT = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


@router.get(
    "/{userId}/attachments/{attachmentId}",
    summary="Read an attachment",
    response_class=Response,
    responses={200: {"content": _CONTENT}, **problems(401, 403, 404, 422, 429, 500, 503)},
)
async def read_attachment(
    user_id: UserIdInPath,
    attachment_id: Annotated[
        str,
        Path(
            alias="attachmentId",
            pattern=ATTACHMENT_ID_PATTERN,
            description="The `id` of an attachment of an interaction.",
            openapi_examples={"an id": {"value": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}},
        ),
    ],
    request: Request,
) -> Response:
    """The bytes of an image or file, exactly as they were sent, with their media type."""
    stored = await container_of(request).history.attachment(
        caller_of(request), user_in_path(user_id, request), attachment_id
    )
    return Response(stored.content, media_type=stored.media_type, headers=_SAFE_HEADERS)
