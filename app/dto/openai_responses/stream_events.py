"""The events of a streamed POST /v1/responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from starlette.types import Scope

from app.dto.openai_chat.answer import created_seconds
from app.dto.openai_responses.ids import item_id
from app.dto.openai_responses.output import (
    COMPLETED,
    INCOMPLETE,
    REASONING,
    JsonObject,
    call_item,
    message_item,
    reasoning_item,
    text_part,
)
from app.dto.openai_responses.response import (
    CANCELLED,
    IN_PROGRESS,
    QUEUED,
    continued_fields,
    echo_of,
    error_code,
    response_object,
)
from app.problems.error_handlers import problem_of_code, problem_of_error
from app.problems.openai_errors import openai_error
from app.problems.problem_table import ProblemKind
from app.responses.answer_stream import LogFormat
from app.responses.event_stream import StreamFormat
from app.services.response_ids import ResponseIds
from domain.entities.background.log import Restarted
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import ChatEvent, Interaction, milliseconds_of
from domain.entities.items import ToolCall
from domain.entities.prompt import Prompt
from domain.entities.reply import ProviderSelected, ReasoningDelta
from domain.exceptions import DomainError
from domain.use_cases.background.follow_answer import FollowedAnswer, NumberedEvent


@dataclass(slots=True)
class _OpenItem:
    """The message or the reasoning that is being streamed."""

    kind: str
    position: int
    identifier: str
    text: str = ""


_PATH = "/v1/responses"


class ResponseStreamFormat(StreamFormat):
    """Numbered events in the order of OpenAI's API: created, in progress, the items in order, the end."""

    def __init__(
        self,
        context: ChatRequestContext | Interaction,
        prompt: Prompt,
        ids: ResponseIds,
        *,
        is_sealed: bool,
    ) -> None:
        """Stream the response to a request.

        Args:
            context: Of the request, or its interaction as accepted.
            prompt: Of the request, for the fields that repeat it.
            ids: Makes the ids.
            is_sealed: The client requests the metadata of the answer, sealed.
        """
        self._context = context
        self._prompt = prompt
        self._ids = ids
        self._is_sealed = is_sealed
        self._number = 0
        self._items: list[JsonObject] = []
        self._first_valid = 0
        self._restarts = 0
        self._open: _OpenItem | None = None
        self._model = context.model
        self._has_begun = False

    def encode(self, event: ChatEvent) -> bytes:
        if isinstance(event, str):
            return self._delta("msg", event)
        if isinstance(event, Interaction):
            return self._end(event)
        if isinstance(event, ReasoningDelta):
            return self._delta("rs", event.text)
        if isinstance(event, ToolCall):
            return self._call(event)
        return self._begin(event)

    def encode_error(self, error: DomainError, scope: Scope) -> bytes:
        kind, problem = problem_of_error(error, scope)
        return self._failed(kind, problem.get("errors", ()))

    def _failed(self, kind: ProblemKind, errors: Sequence[Mapping[str, str]] = ()) -> bytes:
        closed = self._close(INCOMPLETE)
        described = openai_error(kind, _PATH, errors)["error"]
        code = error_code(kind.slug)
        body = {
            "code": described["code"],
            "message": described["message"],
            "param": described["param"],
        }
        response = self._snapshot("failed")
        response["output"] = self._items[self._first_valid :]
        response["error"] = {"code": code, "message": described["message"]}
        return (
            closed
            + self._event("error", body)
            + self._event("response.failed", {"response": response})
        )

    def _begin(self, event: ProviderSelected) -> bytes:
        if self._has_begun:
            return b"" if event.continues else self._close()
        self._has_begun = True
        self._model = event.model
        response = self._snapshot(IN_PROGRESS)
        created = b"" if self._number else self._event("response.created", {"response": response})
        return created + self._event("response.in_progress", {"response": response})

    def _delta(self, kind: str, text: str) -> bytes:
        events = b""
        if self._open is None or self._open.kind != kind:
            events = self._close() + self._start(kind)
        assert self._open is not None
        self._open.text += text
        place = self._place(self._open)
        if kind == "msg":
            body = {**place, "content_index": 0, "delta": text, "logprobs": []}
            return events + self._event("response.output_text.delta", body)
        body = {**place, "summary_index": 0, "delta": text}
        return events + self._event("response.reasoning_summary_text.delta", body)

    def _start(self, kind: str) -> bytes:
        position = len(self._items)
        identifier = self._item_id(kind)
        self._open = _OpenItem(kind, position, identifier)
        place = self._place(self._open)
        if kind == "msg":
            added = message_item(identifier, "", "in_progress")
            part = {**place, "content_index": 0, "part": text_part("")}
            return self._item_event("added", position, added) + self._event(
                "response.content_part.added", part
            )
        part = {**place, "summary_index": 0, "part": {"type": "summary_text", "text": ""}}
        return self._item_event("added", position, reasoning_item(identifier, "")) + self._event(
            "response.reasoning_summary_part.added", part
        )

    def _close(self, status: str = COMPLETED) -> bytes:
        """End the open item, a message with this status; nothing without one."""
        open_item, self._open = self._open, None
        if open_item is None:
            return b""
        place, text = self._place(open_item), open_item.text
        if open_item.kind == "msg":
            done = message_item(open_item.identifier, text, status)
            text_body = {**place, "content_index": 0, "text": text, "logprobs": []}
            part_body = {**place, "content_index": 0, "part": text_part(text)}
            events = self._event("response.output_text.done", text_body) + self._event(
                "response.content_part.done", part_body
            )
        else:
            done = reasoning_item(open_item.identifier, text)
            text_body = {**place, "summary_index": 0, "text": text}
            part = {"type": "summary_text", "text": text}
            events = self._event("response.reasoning_summary_text.done", text_body) + self._event(
                "response.reasoning_summary_part.done", {**place, "summary_index": 0, "part": part}
            )
        self._items.append(done)
        return events + self._item_event("done", open_item.position, done)

    def _call(self, call: ToolCall) -> bytes:
        events = self._close()
        position = len(self._items)
        identifier = self._item_id("fc")
        done = call_item(identifier, call)
        self._items.append(done)
        place = {"item_id": identifier, "output_index": position}
        return (
            events
            + self._item_event("added", position, call_item(identifier, call, is_done=False))
            + self._event(
                "response.function_call_arguments.delta", {**place, "delta": call.arguments}
            )
            + self._event(
                "response.function_call_arguments.done",
                {**place, "name": call.name, "arguments": call.arguments},
            )
            + self._item_event("done", position, done)
        )

    def _end(self, interaction: Interaction) -> bytes:
        response = response_object(interaction, self._prompt, self._ids, is_sealed=self._is_sealed)
        events = self._close(COMPLETED if response["status"] == COMPLETED else INCOMPLETE)
        response["store"] = self._context.is_content_stored
        *_, last = response["output"] or [{}]
        if "encrypted_content" in last:
            position = len(self._items)
            last["id"] = self._item_id(REASONING)
            events += self._item_event("added", position, last)
            events += self._item_event("done", position, last)
            self._items.append(last)
        response["output"] = self._items[self._first_valid :]  # exactly what was streamed
        name = INCOMPLETE if response["status"] == CANCELLED else response["status"]
        return events + self._event(f"response.{name}", {"response": response})

    def _snapshot(self, status: str) -> JsonObject:
        """Return the response in the state before its end."""
        context = self._context
        return {
            "id": self._ids.of_response(context.id, context.user_id),
            "object": "response",
            "created_at": created_seconds(milliseconds_of(context.id)),
            "status": status,
            "background": context.is_background,
            "error": None,
            "incomplete_details": None,
            "model": self._model,
            "output": [],
            "store": context.is_content_stored,
            "usage": None,
            "user": None,
            "metadata": dict(context.metadata),
            **continued_fields(context, self._ids),
            **echo_of(self._prompt),
        }

    def _item_id(self, kind: str) -> str:
        """Return the id of the next item."""
        position = len(self._items) - self._first_valid
        return item_id(kind, self._context.id, position, self._restarts)

    def _item_event(self, what: str, position: int, item: JsonObject) -> bytes:
        return self._event(f"response.output_item.{what}", {"output_index": position, "item": item})

    def _place(self, item: _OpenItem) -> JsonObject:
        return {"item_id": item.identifier, "output_index": item.position}

    def _event(self, name: str, body: JsonObject) -> bytes:
        number = self._number
        self._number += 1
        data = orjson.dumps({"type": name, "sequence_number": number, **body})
        return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


class ResponseLogFormat(ResponseStreamFormat, LogFormat):
    """The events of a background response. All are computed from the first on, so their numbers are always the same."""

    def __init__(
        self,
        followed: FollowedAnswer,
        ids: ResponseIds,
        *,
        is_sealed: bool,
        starting_after: int = -1,
    ) -> None:
        """Stream the response from a log.

        Args:
            followed: The answer, with its events from the first on.
            ids: Makes the ids.
            is_sealed: The client requests the metadata of the answer, sealed.
            starting_after: Number of the last event that the client knows; -1 for none.
        """
        accepted = followed.answer.interaction
        super().__init__(accepted, accepted.prompt, ids, is_sealed=is_sealed)
        self._starting_after = starting_after
        if not followed.is_kept:
            self._number = starting_after + 1  # the original numbers are not known any more

    def begin(self) -> bytes:
        queued = self._snapshot(QUEUED)
        return self._event("response.created", {"response": queued}) + self._event(
            "response.queued", {"response": queued}
        )

    def encode_numbered(self, numbered: NumberedEvent) -> bytes:
        event = numbered.event
        if isinstance(event, Restarted):
            events = self._close(INCOMPLETE)
            self._first_valid = len(self._items)
            self._restarts += 1
            return events
        if isinstance(event, Interaction) and event.error is not None:
            return self._failed(problem_of_code(event.error))
        return self.encode(event)

    def _event(self, name: str, body: JsonObject) -> bytes:
        is_known = self._number <= self._starting_after
        encoded = super()._event(name, body)
        return b"" if is_known else encoded
