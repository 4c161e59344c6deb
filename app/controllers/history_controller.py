"""/v1/history/{userId}."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from app.dto.native.conversation import ConversationList, ConversationParameters
from app.dto.native.history import Erased, HistoryPage, HistoryParameters
from app.dto.native.interaction import InteractionDto
from app.dto.wire import INTERACTION_ID_PATTERN
from app.problems.problem_schema import problems
from app.requests.request_context import caller_of, container_of, user_in_path
from app.requests.strict_route import StrictRoute
from domain.entities.caller import USER_ID_PATTERN

router = APIRouter(prefix="/v1/history", route_class=StrictRoute, tags=["history"])

UserIdInPath = Annotated[
    str,
    Path(
        alias="userId",
        pattern=USER_ID_PATTERN,
        description="Whose history; `me` is the authenticated user.",
        openapi_examples={"ana": {"value": "ana"}},
    ),
]


class _InteractionIdConvertor(Convertor[str]):
    """Leaves the words that are routes of their own to them, whatever the method."""

    regex = r"(?!(?:conversations|export|stats)$)[^/]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("interaction", _InteractionIdConvertor())

InteractionIdInPath = Annotated[
    str,
    Path(
        alias="interactionId",
        pattern=INTERACTION_ID_PATTERN,
        description="The `id` of an interaction.",
        openapi_examples={"an id": {"value": "019aabb1-7c80-7000-8a51-0f1d2c3b4a59"}},
    ),
]


@router.get(
    "/{userId}",
    summary="Read a page of a user's history",
    responses=problems(400, 401, 403, 422, 429, 500, 503),
)
async def read_page(
    user_id: UserIdInPath,
    parameters: Annotated[HistoryParameters, Query()],
    request: Request,
    response: Response,
) -> HistoryPage:
    """One page of the user's interactions, newest first unless asked otherwise.

    Walk on with `cursor` set to the page's `nextCursor`, until it is null: every interaction that was visible when
    the walk began comes exactly once, whatever is being written meanwhile.
    """
    container = container_of(request)
    if (lag_seconds := container.history_lag_seconds()) is not None:
        response.headers["X-History-Lag-Seconds"] = f"{lag_seconds:.3f}"
    return HistoryPage.of(
        await container.history.page(
            caller_of(request),
            parameters.to_query(user_in_path(user_id, request)),
            cursor=parameters.cursor,
            with_id=parameters.after_id,
            wait_seconds=parameters.wait,
        )
    )


@router.get(
    "/{userId}/conversations",
    summary="List a user's conversations",
    responses=problems(400, 401, 403, 422, 429, 500, 503),
)
async def list_conversations(
    user_id: UserIdInPath, parameters: Annotated[ConversationParameters, Query()], request: Request
) -> ConversationList:
    """The user's conversations, last active first.

    A conversation that goes on while they are walked moves to the front, and is not met further back. Where SQS carries
    answers to the store, a turn is listed once a worker has stored it, within seconds as a rule.
    """
    return ConversationList.of(
        await container_of(request).history.conversations(
            caller_of(request),
            parameters.to_query(user_in_path(user_id, request)),
            cursor=parameters.cursor,
        )
    )


@router.get(
    "/{userId}/{interactionId:interaction}",
    summary="Read one interaction",
    responses=problems(401, 403, 404, 422, 429, 500, 503),
)
async def read_one(
    user_id: UserIdInPath, interaction_id: InteractionIdInPath, request: Request
) -> InteractionDto:
    """One interaction of the user, whatever its status; 404 if this user has none with that id."""
    return InteractionDto.of(
        await container_of(request).history.one(
            caller_of(request), user_in_path(user_id, request), interaction_id.lower()
        )
    )


@router.delete(
    "/{userId}",
    summary="Erase all of a user's history",
    responses=problems(401, 403, 422, 429, 500, 503),
)
async def erase_all(user_id: UserIdInPath, request: Request) -> Erased:
    """Erase every interaction of the user up to now, also those still on their way to the store."""
    return Erased(
        deleted=await container_of(request).history.forget_all(
            caller_of(request), user_in_path(user_id, request)
        )
    )


@router.delete(
    "/{userId}/{interactionId:interaction}",
    summary="Erase one interaction",
    status_code=204,
    response_class=Response,
    responses=problems(401, 403, 422, 429, 500, 503),
)
async def erase_one(
    user_id: UserIdInPath, interaction_id: InteractionIdInPath, request: Request
) -> None:
    """Erase one interaction, there or not; a write of it that is still on its way loses."""
    await container_of(request).history.forget_one(
        caller_of(request), user_in_path(user_id, request), interaction_id.lower()
    )
