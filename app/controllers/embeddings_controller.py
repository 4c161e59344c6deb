"""POST /v1/embeddings, in OpenAI's format."""

import asyncio
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.dto.openai_embeddings.answer import EmbeddingList, embeddings_json
from app.dto.openai_embeddings.request import EMBEDDING_EXAMPLES, EmbeddingsRequest
from app.problems.openai_error_schema import openai_errors
from app.requests.chat_route import ChatRoute, TimeoutHeader
from app.requests.request_context import caller_of, container_of

router = APIRouter(route_class=ChatRoute, tags=["embeddings"])

_LARGE_NUMBERS = 65_536
"""Above this many numbers, encoding would block the event loop for milliseconds."""


@router.post(
    "/v1/embeddings",
    summary="Compute embeddings, in OpenAI's format",
    response_model=EmbeddingList,
    responses=openai_errors(400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 502, 503, 504),
)
async def embed(
    body: Annotated[EmbeddingsRequest, Body(openapi_examples=EMBEDDING_EXAMPLES)],
    request: Request,
    timeout_milliseconds: TimeoutHeader = None,
) -> Response:
    """One vector for each input, in the order of the inputs.

    Neither inputs nor vectors are stored, so an Idempotency-Key has no effect: a repeated request computes them again.
    """
    caller = caller_of(request)
    context, answer = container_of(request).embeddings.begin(
        caller,
        body.resolve_user_id(caller),
        body.to_request(),
        timeout_seconds=None if timeout_milliseconds is None else timeout_milliseconds / 1000,
    )
    request.scope["state"]["chat_context"] = context
    embeddings = await answer
    encode = partial(embeddings_json, embeddings, is_base64=body.encoding_format == "base64")
    is_large = sum(map(len, embeddings.vectors)) > _LARGE_NUMBERS
    content = await asyncio.to_thread(encode) if is_large else encode()
    return Response(content, media_type="application/json")
