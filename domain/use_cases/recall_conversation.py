"""Add a conversation's earlier turns to the prompt."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from domain.entities.conversation import AddedItem, begins_with_record
from domain.entities.history_query import HistoryFilter, HistoryQuery
from domain.entities.interaction import ANSWERED, NO_TURN_ID, Interaction, Status, is_interaction_id
from domain.entities.items import (
    RESULTS_WITHOUT_CALLS,
    Reasoning,
    ToolCall,
    ToolResult,
    not_carried_out,
    tool_calls,
    tool_results,
)
from domain.entities.model import Model
from domain.entities.prompt import (
    BETWEEN_QUESTIONS,
    Message,
    Prompt,
    Role,
    open_calls,
)
from domain.exceptions import (
    HistoryDamaged,
    HistoryUnreadable,
    NoSuchOpenCall,
    NotFound,
    ToolResultsMissing,
)
from domain.interfaces.conversation_records import ConversationRecords
from domain.interfaces.history import HistoryRepository
from domain.use_cases.load_attachments import NO_ATTACHMENTS, LoadAttachments
from domain.use_cases.load_contents import CONTENTS_AS_STORED, LoadContents

_BYTES_PER_TOKEN = 3
_UNKNOWN_WINDOW_TOKENS = 128_000
_UNKNOWN_ANSWER_TOKENS = 32_768
_PAGE_TURNS = 50
_MOST_TURNS = 1000
_MOST_LOADED_AT_ONCE = 8
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class RecallConversation:
    """Adds the earlier turns of a conversation before the question.

    Attributes:
        records: Holds the items added to conversations by hand; None without any.
        read_seconds: Time limit of all reads of one conversation; longer than the store's own limit, so that the
            turns can still be read from this host after the store timed out.
        late_seconds: Longest wait for a turn that a request refers to and that is not readable yet, because it is in a
            queue or in the outbox of another host; 0 if every turn is readable at once.
    """

    history: HistoryRepository
    read_seconds: float = 3.5
    load_attachments: LoadAttachments = NO_ATTACHMENTS
    load_contents: LoadContents = CONTENTS_AS_STORED
    late_seconds: float = 0.0
    records: ConversationRecords | None = None

    async def __call__(
        self,
        prompt: Prompt,
        user_id: str,
        conversation_id: str,
        model: Model,
        *,
        until: Interaction | None = None,
        before_id: str | None = None,
    ) -> Prompt:
        """Return `prompt` with the newest earlier turns that fit, oldest first; complete turns, at most 1 000.

        Items that were added by hand are at their place among the turns; instructions among them come before those
        of the prompt. A truncated or cancelled turn is included with its partial answer, or as a question alone if it has none.
        Results in the prompt answer the tool calls of the last turn, all of them. Without results, calls left
        unanswered there are settled: the new message says that they were not carried out, or a message of its own
        before a prompt that begins with an answer.

        A client may send the calls of the last turn again before their results; they are left out.

        Args:
            prompt: The new messages, which are never shortened.
            user_id: Already authorised.
            conversation_id: Conversation of that user.
            model: The requested model. Its context window, less the tokens of the answer, bounds the prompt, at
                three bytes of UTF-8 per token. For an unknown window, 128 000 tokens are assumed. A call is never separated
                from its result, so the calls that the new results answer are included whatever their size.
            until: The last turn to include, for a branch; None for all turns of the conversation.
            before_id: Id from which on turns are later than the prompt; None where it is the newest, `NO_TURN_ID` for a
                branch from the beginning of the conversation.

        Raises:
            HistoryUnreadable: The turns cannot be read. The prompt is not sent without its context.
            NotFound: The conversation was created without a turn, and has been erased.
            NoSuchOpenCall: A result answers no unanswered call of the last turn, or one that another result answers.
            ToolResultsMissing: A call of the last turn has no result among those sent.
        """
        left_bytes = _window_tokens(prompt, model) * _BYTES_PER_TOKEN - prompt.size_bytes
        results = prompt.opening_results
        may_repeat_calls = prompt.messages[0].role is Role.ASSISTANT
        if left_bytes <= 0 and not results and not may_repeat_calls:
            return prompt
        read = partial(
            self._earlier,
            user_id,
            conversation_id,
            until,
            before_id,
            left_bytes,
            answers_calls=bool(results) or may_repeat_calls,
        )
        recalled = await read()
        if results and self.late_seconds and until is None:
            recalled = await self._once_open(results, recalled, read)
        prompt = prompt.with_instructions(recalled.instructions)
        earlier = recalled.messages
        unanswered = open_calls(earlier)
        if may_repeat_calls and _repeats(prompt.messages[0], unanswered):
            prompt = replace(prompt, messages=prompt.messages[1:])
            results = prompt.opening_results
        if results:
            _check(results, unanswered)
        if not earlier:
            return prompt
        settled = () if results else not_carried_out(unanswered)
        earlier = _balanced(earlier)
        if settled and prompt.messages[0].role is Role.ASSISTANT:
            earlier.append(_results_message(settled))
            settled = ()
        if any(message.items for message in earlier):
            earlier = await self.load_attachments(earlier, user_id, model.capabilities)
        return prompt.with_history(earlier, settled)

    async def parent(self, user_id: str, interaction_id: str) -> Interaction:
        """Return the interaction that a request continues.

        Raises:
            NotFound: This user has no such interaction, or none that can be continued: its content is not stored, or
                its answer is still in progress.
            HistoryUnreadable: It cannot be read.
        """
        try:
            async with asyncio.timeout(self.read_seconds):
                found = await self.history.find(user_id, interaction_id)
        except TimeoutError as exc:
            raise HistoryUnreadable("an interaction took too long to read") from exc
        if found is None and self.late_seconds:
            found = await self._found_late(user_id, interaction_id)
        if found is not None and found.status is Status.IN_PROGRESS:
            found = await self._once_ended(found)
        if found is None or not found.is_content_stored or found.status is Status.IN_PROGRESS:
            raise NotFound
        return found

    async def _found_late(self, user_id: str, interaction_id: str) -> Interaction | None:
        if not await self.history.wait_for(user_id, interaction_id, seconds=self.late_seconds):
            return None
        return await self.history.find(user_id, interaction_id)

    async def _once_ended(self, interaction: Interaction) -> Interaction | None:
        """Return an interaction once its outcome is readable; after `late_seconds` as it was read last."""
        found: Interaction | None = interaction
        pause_seconds = _FIRST_PAUSE_SECONDS
        left_seconds = self.late_seconds
        while left_seconds > 0 and found is not None and found.status is Status.IN_PROGRESS:
            await asyncio.sleep(pause_seconds)
            left_seconds -= pause_seconds
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
            found = await self.history.find(interaction.user_id, interaction.id)
        return found

    async def _once_open(
        self,
        results: Sequence[ToolResult],
        earlier: "_Earlier",
        read: Callable[[], Awaitable["_Earlier"]],
    ) -> "_Earlier":
        """Return the earlier messages once `results` answer their last calls; after `late_seconds` those read last."""
        pause_seconds = _FIRST_PAUSE_SECONDS
        left_seconds = self.late_seconds
        while left_seconds > 0 and _not_open(results, open_calls(earlier.messages)):
            await asyncio.sleep(pause_seconds)
            left_seconds -= pause_seconds
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
            earlier = await read()
        return earlier

    async def _earlier(
        self,
        user_id: str,
        conversation_id: str,
        until: Interaction | None,
        before_id: str | None,
        left_bytes: int,
        *,
        answers_calls: bool,
    ) -> "_Earlier":
        """Return the newest turns and items added by hand that fit, oldest first, with their arguments and results.

        Raises:
            HistoryUnreadable: They cannot be read.
            NotFound: There are none, although the conversation was created with a record.
        """
        first_left_out = before_id if until is None else until.id
        reading = asyncio.ensure_future(
            self._record_items(user_id, conversation_id, first_left_out)
        )
        try:
            async with asyncio.timeout(self.read_seconds):
                turns = self._turns(user_id, conversation_id, until, before_id)
                steps = await self._newest(
                    self._with_contents(self._steps(turns, reading), user_id),
                    left_bytes,
                    answers_calls=answers_calls,
                )
                has_record = (await reading) is not None
        except TimeoutError as exc:
            raise HistoryUnreadable("a conversation took too long to read") from exc
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if not steps and not has_record and begins_with_record(conversation_id):
            raise NotFound
        steps.reverse()
        return _Earlier(
            messages=[message for step in steps for message in step.messages],
            instructions=[step.instruction for step in steps if step.instruction],
        )

    async def _newest(
        self, turns: AsyncIterator["_Step"], left_bytes: int, *, answers_calls: bool
    ) -> list["_Step"]:
        """Return the newest turns that fit into `left_bytes`, newest first.

        While the turns after one have results, it has their calls: those are included if the current request depends
        on them, and otherwise left out together with the results. Of calls and results that alone exceed the limit on
        turns, the newest are included.
        """
        newest: list[_Step] = []
        is_needed = answers_calls
        async for turn in turns:
            left_bytes -= turn.size_bytes
            if (left_bytes < 0 and not is_needed) or len(newest) == _MOST_TURNS:
                break
            newest.append(turn)
            is_needed = is_needed and turn.has_results
        else:
            return newest
        if is_needed:
            return newest
        while newest and newest[-1].has_results:
            newest.pop()
        return newest

    async def _steps(
        self,
        turns: AsyncIterator[Interaction],
        reading: "asyncio.Future[Sequence[AddedItem] | None]",
    ) -> AsyncIterator["_Step"]:
        """Yield turns and items added by hand, newest first. The record is read at the same time as the first turns."""
        added: list[AddedItem] | None = None
        async for turn in turns:
            if added is None:
                added = list(await reading or ())
            while added and added[-1].id > turn.id:
                yield _step_of_items(_taken_together(added, turn.id))
            yield _step_of_turn(turn)
        if added is None:
            added = list(await reading or ())
        while added:
            yield _step_of_items(_taken_together(added, ""))

    async def _with_contents(
        self, steps: AsyncIterator["_Step"], user_id: str
    ) -> AsyncIterator["_Step"]:
        """Yield `steps` with the arguments and results that are stored apart, so that they can be measured.

        They are loaded for one step, then for two at once, and so on up to `_MOST_LOADED_AT_ONCE`: one after another,
        hundreds would take too long, and all at once, many that do not fit would be loaded.
        """
        waiting: list[_Step] = []
        at_once = 1
        async for step in steps:
            if not waiting and not step.has_contents:
                yield step
                continue
            waiting.append(step)
            if len(waiting) < at_once:
                continue
            for loaded in await self._loaded(waiting, user_id):
                yield loaded
            waiting = []
            at_once = min(2 * at_once, _MOST_LOADED_AT_ONCE)
        for loaded in await self._loaded(waiting, user_id):
            yield loaded

    async def _loaded(self, steps: Iterable["_Step"], user_id: str) -> list["_Step"]:
        async def load(step: _Step) -> _Step:
            return step.with_messages(await self.load_contents.of_messages(step.messages, user_id))

        return await asyncio.gather(*map(load, steps))

    async def _record_items(
        self, user_id: str, conversation_id: str, before_id: str | None
    ) -> Sequence[AddedItem] | None:
        """Return the items added by hand, oldest first; None without a record.

        While the store is unavailable, the turns of a conversation may still be read from this host, which has no records.
        Only a conversation that was created with a record is then known to have one.
        """
        if self.records is None:
            return None
        try:
            record = await self.records.get(user_id, conversation_id)
        except HistoryDamaged:
            raise
        except HistoryUnreadable:
            if begins_with_record(conversation_id):
                raise
            return None
        if record is None:
            return None
        items = sorted(record.items, key=lambda added: added.id)
        return [added for added in items if before_id is None or added.id < before_id]

    async def _turns(
        self,
        user_id: str,
        conversation_id: str,
        until: Interaction | None,
        before_id: str | None,
    ) -> AsyncIterator[Interaction]:
        """Yield the turns of a conversation, newest first.

        With `until`, they are the turns that it continues: where a turn names the one before it, the turns in between
        belong to other branches. A turn without an answer is left out, but may be the one that is named. The first turn of a conversation that began as a continuation is outside of it: the
        conversation has its id.
        """
        if before_id == NO_TURN_ID:
            return
        expected_id: str | None = None
        query = HistoryQuery(
            user_id=user_id,
            filter=HistoryFilter(
                conversation_id=conversation_id,
                statuses=ANSWERED if until is None else frozenset(Status),
                to_id=before_id,
            ),
            limit=_PAGE_TURNS,
        )
        if until is not None:
            if until.status in ANSWERED:
                yield until
            if until.conversation_id is None or until.previous_id == NO_TURN_ID:
                return
            expected_id = until.previous_id
            query = replace(query, after_id=until.id)
        while True:
            page = await self.history.recall(query)
            for turn in page.interactions:
                if not turn.is_content_stored:
                    continue
                if expected_id is not None and turn.id > expected_id:
                    continue
                if turn.status in ANSWERED:
                    yield turn
                if until is not None:
                    expected_id = turn.previous_id
                    if expected_id == NO_TURN_ID:
                        return
            if page.next_id is None:
                break
            query = replace(query, after_id=page.next_id)
        if is_interaction_id(conversation_id):
            first = await self.history.find(user_id, conversation_id)
            if first is not None and first.conversation_id is None and first.status in ANSWERED:
                yield first


def _repeats(answer: Message, unanswered: Sequence[ToolCall]) -> bool:
    """Return whether `answer` has the unanswered calls of the turn before, and no others."""
    call_ids = {call.id for call in tool_calls(answer.items)}
    return bool(call_ids) and call_ids == {call.id for call in unanswered}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Earlier:
    """What precedes a prompt, oldest first."""

    messages: list[Message]
    instructions: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A turn, or items that were added by hand and belong together.

    Attributes:
        instruction: An instruction added by hand, which is not a message.
        has_results: It answers calls of the step before.
    """

    messages: tuple[Message, ...] = ()
    instruction: str = ""
    size_bytes: int
    has_results: bool = False

    @property
    def has_contents(self) -> bool:
        """Whether arguments or results are stored apart."""
        return any(
            isinstance(item, (ToolCall, ToolResult)) and item.content_id is not None
            for message in self.messages
            for item in message.items
        )

    def with_messages(self, messages: Sequence[Message]) -> "_Step":
        """Return the same step with `messages`, and the size that it has with them."""
        added_bytes = _total_bytes(messages) - _total_bytes(self.messages)
        return replace(self, messages=tuple(messages), size_bytes=self.size_bytes + added_bytes)


def _step_of_turn(turn: Interaction) -> _Step:
    return _Step(
        messages=_messages(turn),
        size_bytes=_turn_bytes(turn),
        has_results=bool(turn.prompt.opening_results),
    )


def _step_of_items(added: Sequence[AddedItem]) -> _Step:
    messages = [item.message for item in added]
    if added[0].is_instruction:
        return _Step(instruction=messages[0].text, size_bytes=messages[0].size_bytes)
    message = messages[0]
    if len(messages) > 1:
        items = tuple([item for each in messages for item in each.content])
        message = Message(role=message.role, text="".join([m.text for m in messages]), items=items)
    return _Step(
        messages=(message,),
        size_bytes=message.size_bytes + len(BETWEEN_QUESTIONS),
        has_results=bool(tool_results(message.items)),
    )


def _taken_together(added: list[AddedItem], after_id: str) -> list[AddedItem]:
    """Remove the last items that make one message from `added`, and return them in order.

    Those are consecutive items of an answer, or consecutive results, above `after_id`.
    """
    together = [added.pop()]
    kind = _kind(together[0])
    while kind and added and added[-1].id > after_id and _kind(added[-1]) == kind:
        together.append(added.pop())
    together.reverse()
    return together


def _kind(added: AddedItem) -> str:
    """Return what kind of message the item is a part of; empty if it is one of its own."""
    if added.message.role is Role.ASSISTANT:
        return "answer"
    return "results" if tool_results(added.message.items) else ""


def _check(results: Sequence[ToolResult], unanswered: Sequence[ToolCall]) -> None:
    """Check that `results` answer all `unanswered` calls, and each of them once."""
    open_ids = [call.id for call in unanswered]
    sent_ids = [result.call_id for result in results]
    if unknown := _not_open(results, unanswered):
        raise NoSuchOpenCall("tool_results", unknown)
    repeated = sorted({call_id for call_id in sent_ids if sent_ids.count(call_id) > 1})
    if repeated:
        raise NoSuchOpenCall("tool_results", repeated)
    missing = [call_id for call_id in open_ids if call_id not in sent_ids]
    if missing:
        raise ToolResultsMissing(missing)


def _not_open(results: Iterable[ToolResult], unanswered: Iterable[ToolCall]) -> list[str]:
    """Return the ids of `results` that answer none of the `unanswered` calls."""
    open_ids = {call.id for call in unanswered}
    return sorted({result.call_id for result in results if result.call_id not in open_ids})


def _balanced(messages: Iterable[Message]) -> list[Message]:
    """Return `messages` with a result for each call and a call for each result, since providers reject others.

    Where a turn was erased, or is in another branch, the calls or the results before or after it have no counterpart.
    The calls of the last message stay open: the next message answers them. A message that consists of results
    without their calls is replaced by a text.
    """
    balanced: list[Message] = []
    waiting: dict[str, ToolCall] = {}
    for message in messages:
        if message.role is Role.ASSISTANT:
            if waiting:
                balanced.append(_results_message(not_carried_out(waiting.values())))
            waiting = {call.id: call for call in tool_calls(message.items)}
            balanced.append(message)
            continue
        if not message.items:
            if waiting:
                items = (*not_carried_out(waiting.values()), *message.content)
                waiting = {}
                balanced.append(replace(message, items=items))
            else:
                balanced.append(message)
            continue
        answered = [result for result in tool_results(message.items) if result.call_id in waiting]
        for result in answered:
            waiting.pop(result.call_id, None)
        others = [item for item in message.items if not isinstance(item, ToolResult)]
        kept = (*answered, *not_carried_out(waiting.values()), *others)
        waiting = {}
        if not kept:  # left out, two answers would be in a row, which some models reject
            balanced.append(Message(role=Role.USER, text=RESULTS_WITHOUT_CALLS))
            continue
        balanced.append(replace(message, items=kept))
    return balanced


def _results_message(results: Sequence[ToolResult]) -> Message:
    return Message(role=Role.USER, text="", items=tuple(results))


def _window_tokens(prompt: Prompt, model: Model) -> int:
    """Return how many tokens of the context window the prompt may use.

    Some models may fill their whole window with an answer. Without `max_output_tokens`, or with an unknown window, at
    most half of the window is reserved for the answer.
    """
    window_tokens = model.context_tokens or _UNKNOWN_WINDOW_TOKENS
    answer_tokens = prompt.max_output_tokens
    if answer_tokens is None:
        answer_tokens = model.max_output_tokens or _UNKNOWN_ANSWER_TOKENS
        return window_tokens - min(answer_tokens, window_tokens // 2)
    if model.context_tokens is None:
        answer_tokens = min(answer_tokens, window_tokens // 2)
    return window_tokens - answer_tokens


def _messages(turn: Interaction) -> tuple[Message, ...]:
    """Return the question and the answer of a turn; only the question if there is no text and no call."""
    prompt = turn.prompt
    stored = prompt.messages if prompt.keeps_input else (prompt.new_message,)
    question = tuple([message for message in stored if not message.is_empty])
    if all(isinstance(item, Reasoning) for item in turn.items):
        if not turn.text:
            return question
        return (*question, Message(role=Role.ASSISTANT, text=turn.text))
    return (*question, Message(role=Role.ASSISTANT, text=turn.text, items=turn.items))


def _turn_bytes(turn: Interaction) -> int:
    size = _total_bytes(_messages(turn))
    return size if turn.text else size + len(BETWEEN_QUESTIONS)


def _total_bytes(messages: Iterable[Message]) -> int:
    return sum([message.size_bytes for message in messages])
