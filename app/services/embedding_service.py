"""Checks permissions and limits before a request for embeddings reaches the model."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from app.services.chat_service import ChatLimits
from app.services.token_quota import TokenQuota
from domain.entities.caller import Caller, Scope
from domain.entities.chat_request_context import ChatRequestContext, Operation
from domain.entities.deadline import Deadline
from domain.entities.embeddings.embedding import EmbeddingRequest, Embeddings
from domain.entities.model import Model
from domain.entities.tools import Capability
from domain.exceptions import Overloaded, UnsupportedByModel
from domain.interfaces.clock import Clock
from domain.interfaces.model_catalogue import ModelCatalogue
from domain.use_cases.embeddings.compute_embeddings import ComputeEmbeddings


@dataclass(slots=True)
class EmbeddingService:
    """Computes embeddings, subject to permissions, concurrency limit and token quota.

    Attributes:
        token_quota: Limits the tokens of each caller, together with those of chats; None if they are not limited.
        limits: The limits of chats, which apply to requests for embeddings as well; the two are counted separately.
        in_flight: Number of accepted requests without an answer.
    """

    compute_embeddings: ComputeEmbeddings
    catalogue: ModelCatalogue
    clock: Clock
    new_id: Callable[[], str]
    token_quota: TokenQuota | None = None
    limits: ChatLimits = field(default_factory=ChatLimits)
    in_flight: int = field(default=0, init=False)

    def begin(
        self,
        caller: Caller,
        user_id: str,
        request: EmbeddingRequest,
        *,
        timeout_seconds: float | None = None,
    ) -> tuple[ChatRequestContext, Coroutine[Any, Any, Embeddings]]:
        """Return the request's context, and a coroutine that computes the answer.

        The coroutine raises as `EmbeddingClient.embed`; also `Overloaded` if too many requests for embeddings are in
        flight, and `RateLimited` if the remaining tokens of the day do not suffice.

        Args:
            caller: Needs the permission to chat.
            user_id: The user on whose behalf the caller sends the request.
            request: The inputs.
            timeout_seconds: Replaces `ChatLimits.request_seconds` if it is shorter; None changes nothing.

        Raises:
            Forbidden: The caller may not chat on behalf of `user_id`.
            UnknownModel: The model is not in the catalogue.
            UnsupportedByModel: The model computes no embeddings.
        """
        caller.require(Scope.CHAT_WRITE, user_id)
        model = self.catalogue.resolve(request.model)
        self._require_embeddings(model)
        started_seconds = self.clock.monotonic()
        seconds = self.limits.request_seconds
        if timeout_seconds is not None:
            seconds = min(seconds, timeout_seconds)
        deadline = Deadline(started_seconds + seconds)
        context = ChatRequestContext(
            operation=Operation.EMBEDDINGS,
            id=self.new_id(),
            user_id=user_id,
            model=model.id,
            started_seconds=started_seconds,
            first_text_deadline=deadline,
            answer_deadline=deadline,
        )
        return context, self._compute(caller, request, context)

    def _require_embeddings(self, model: Model) -> None:
        if not model.computes_embeddings:
            models = [other.id for other in self.catalogue.models() if other.computes_embeddings]
            raise UnsupportedByModel(Capability.EMBEDDINGS, models)

    async def _compute(
        self, caller: Caller, request: EmbeddingRequest, context: ChatRequestContext
    ) -> Embeddings:
        if self.in_flight >= self.limits.concurrent_chats:
            raise Overloaded
        self.in_flight += 1
        try:
            if self.token_quota is None or caller.rate_limit_key is None:
                return await self.compute_embeddings(request, context)
            reserved = await self.token_quota.reserve_inputs(caller.rate_limit_key, request)
            try:
                return await self.compute_embeddings(request, context)
            finally:
                reserved.settle(context)
        finally:
            self.in_flight -= 1
