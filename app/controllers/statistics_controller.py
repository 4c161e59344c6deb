"""/v1/history/{userId}/stats."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.controllers.history_controller import UserIdInPath
from app.dto.native.statistics import Statistics, StatisticsParameters
from app.problems.problem_schema import problems
from app.requests.request_context import caller_of, container_of, user_in_path
from app.requests.strict_route import StrictRoute

router = APIRouter(prefix="/v1/history", route_class=StrictRoute, tags=["history"])


@router.get(
    "/{userId}/stats",
    summary="Read statistics of a user's history",
    responses=problems(401, 403, 422, 429, 500, 503),
)
async def read_statistics(
    user_id: UserIdInPath, parameters: Annotated[StatisticsParameters, Query()], request: Request
) -> Statistics:
    """Interactions, failures, tokens, costs and response times by day, model or provider, for a range of time or all.

    Each interaction in the store counts exactly once. The store contains everything this host answered before the
    request; with SQS, an answer is included once a worker has stored it, usually within seconds. Statistics are never
    partial: if they cannot be complete, the response is a 503.
    """
    return Statistics.from_groups(
        await container_of(request).history.statistics(
            caller_of(request), parameters.to_query(user_in_path(user_id, request))
        )
    )
