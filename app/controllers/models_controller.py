"""/v1/models, in OpenAI's format or Anthropic's."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Request, Response

from app.dto.openai_chat.models import ModelDto, ModelList, anthropic_model, anthropic_models
from app.problems.openai_error_schema import openai_errors
from app.requests.request_context import caller_of, container_of

ANTHROPIC_VERSION = "anthropic-version"
"""Header of Anthropic's clients, which get models in Anthropic's format."""

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get(
    "",
    response_model=ModelList,
    summary="List the available models",
    responses=openai_errors(401, 403, 429, 500, 503),
)
async def list_models(request: Request) -> Any:
    """All models of the catalogue; the default model is first. With the header `anthropic-version`, in Anthropic's format."""
    models = container_of(request).models.all(caller_of(request))
    if ANTHROPIC_VERSION in request.headers:
        return Response(orjson.dumps(anthropic_models(models)), media_type="application/json")
    listed = [ModelDto.from_model(model) for model in models]
    return ModelList(data=listed, models=listed)


@router.get(
    "/{modelId:path}",
    response_model=ModelDto,
    summary="Read one model",
    responses=openai_errors(401, 403, 404, 429, 500, 503),
)
async def read_model(
    model_id: Annotated[
        str,
        Path(
            alias="modelId",
            description="An id or an alias; ids may contain `/`.",
            openapi_examples={"the demo model": {"value": "demo"}},
        ),
    ],
    request: Request,
) -> Any:
    """One model of the catalogue. With the header `anthropic-version`, in Anthropic's format."""
    model = container_of(request).models.resolve(caller_of(request), model_id)
    if ANTHROPIC_VERSION in request.headers:
        return Response(orjson.dumps(anthropic_model(model)), media_type="application/json")
    return ModelDto.from_model(model)
