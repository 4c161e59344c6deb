"""/v1/history/{userId}: pages, conversations, single interactions and erasure."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from app.dto.native.conversation import (
    ConversationList,
    ConversationParameters,
    ConversationTitle,
    RenamedConversation,
)
from app.dto.native.history import Erased, HistoryPage, HistoryParameters
from app.dto.native.interaction import InteractionDto
from app.dto.wire import INTERACTION_ID_PATTERN
from app.problems.problem_schema import problems
from app.requests.chat_route import StrictJsonRoute
from app.requests.request_context import caller_of, container_of, user_in_path
from app.requests.strict_route import StrictRoute
from domain.entities.caller import USER_ID_PATTERN

router = APIRouter(prefix="/v1/history", route_class=StrictRoute, tags=["history"])
body_router = APIRouter(prefix="/v1/history", route_class=StrictJsonRoute, tags=["history"])

UserIdInPath = Annotated[
    str,
    Path(
        alias="userId",
        pattern=USER_ID_PATTERN,
        description="User that owns the history; `me` is the authenticated user.",
        openapi_examples={"ana": {"value": "ana"}},
    ),
]


class _InteractionIdConvertor(Convertor[str]):
    """Matches a path segment except the names of other routes, so that those answer every method themselves."""

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


ConversationIdInPath = Annotated[
    str,
    Path(
        alias="conversationId",
        pattern=USER_ID_PATTERN,
        description="The `conversationId` of interactions.",
        openapi_examples={"loops": {"value": "loops"}},
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
    """One page of the user's interactions, newest first by default.

    To read all pages, repeat the request with `cursor` set to `nextCursor` until that is null: every interaction that
    was visible at the first request is returned exactly once, regardless of concurrent writes.
    """
    container = container_of(request)
    if (lag_seconds := container.history_lag_seconds()) is not None:
        response.headers["X-History-Lag-Seconds"] = f"{lag_seconds:.3f}"
    return HistoryPage.from_result_page(
        await container.history.search(
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
    """One page of the user's conversations, most recently active first.

    A conversation that gets a new turn between two pages moves to the front, and is missing from the later pages. With
    SQS, a turn is included once a worker has stored it, usually within seconds.
    """
    return ConversationList.from_result_page(
        await container_of(request).history.conversations(
            caller_of(request),
            parameters.to_query(user_in_path(user_id, request)),
            cursor=parameters.cursor,
        )
    )


@body_router.patch(
    "/{userId}/conversations/{conversationId}",
    summary="Give a conversation a title",
    response_model=None,
    responses={
        200: {"model": RenamedConversation},
        **problems(400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503),
    },
)
async def rename_conversation(
    body: ConversationTitle,
    request: Request,
    user_id: UserIdInPath,
    conversation_id: ConversationIdInPath,
) -> Response:
    """Give a conversation a title, or remove it with an empty one; needs the scope `chat:write`."""
    record = await container_of(request).conversations.rename(
        caller_of(request), user_in_path(user_id, request), conversation_id, body.title
    )
    renamed = RenamedConversation(id=record.conversation_id, title=record.title)
    return Response(renamed.model_dump_json(by_alias=True), media_type="application/json")


@router.delete(
    "/{userId}/conversations/{conversationId}",
    summary="Erase a conversation",
    responses=problems(401, 403, 422, 429, 500, 503),
)
async def erase_conversation(
    user_id: UserIdInPath, conversation_id: ConversationIdInPath, request: Request
) -> Erased:
    """Erase all interactions of a conversation, its title, its metadata and the items added to it."""
    return Erased(
        deleted=await container_of(request).conversations.erase(
            caller_of(request), user_in_path(user_id, request), conversation_id
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
    """One interaction of the user, of any status; 404 if this user has none with that id."""
    return InteractionDto.from_interaction(
        await container_of(request).history.read(
            caller_of(request), user_in_path(user_id, request), interaction_id.lower()
        )
    )


@router.delete(
    "/{userId}",
    summary="Erase all of a user's history",
    responses=problems(401, 403, 422, 429, 500, 503),
)
async def erase_all(user_id: UserIdInPath, request: Request) -> Erased:
    """Erase all interactions of the user received so far, including those not yet written to the store."""
    return Erased(
        deleted=await container_of(request).history.erase_all(
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
    """Erase one interaction, including one not yet written to the store; also 204 if it does not exist."""
    await container_of(request).history.erase(
        caller_of(request), user_in_path(user_id, request), interaction_id.lower()
    )
