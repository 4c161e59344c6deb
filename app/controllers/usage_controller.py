"""/v1/usage."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError

from app.dto.native.usage import UsageDto, UsageParameters
from app.dto.wire import to_epoch_milliseconds
from app.problems.problem_schema import problems
from app.requests.request_context import caller_of, container_of
from app.requests.strict_route import StrictRoute
from domain.exceptions import InvalidInput

router = APIRouter(prefix="/v1/usage", route_class=StrictRoute, tags=["usage"])


@router.get(
    "",
    summary="Read the usage of all users",
    responses=problems(401, 403, 422, 429, 500, 503),
)
async def read_usage(parameters: Annotated[UsageParameters, Query()], request: Request) -> UsageDto:
    """Interactions, failures, tokens and costs of all users by day, model and key; needs the scope `admin:read`.

    The answer contains neither texts nor users. Each interaction in the store counts exactly once; erased and expired
    ones do not count. What this host answered before the request is included; with DynamoDB or SQS usually within
    seconds. Usage is never partial: if it cannot be read completely in time, as that of too long a range, the response
    is a 503.
    """
    start, end = parameters.from_, parameters.to
    try:
        report = await container_of(request).usage.read(
            caller_of(request),
            from_milliseconds=None if start is None else to_epoch_milliseconds(start),
            to_milliseconds=None if end is None else to_epoch_milliseconds(end),
            time_zone=parameters.zone,
        )
    except InvalidInput as exc:
        message = f"Value error, {exc.message}"
        raise RequestValidationError(
            [{"type": "value_error", "loc": ("query", exc.field), "msg": message}]
        ) from exc
    return UsageDto.from_report(report, parameters.time_zone)
