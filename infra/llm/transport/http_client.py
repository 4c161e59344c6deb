"""The part that the clients of all HTTP providers share."""

from collections.abc import AsyncGenerator, Callable
from functools import partial

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt, Role
from domain.entities.reply import AnswerEvent
from domain.interfaces.llm_client import LLMClient
from infra.llm.transport.adaptable_request import AdaptableRequest, RouteDialect
from infra.llm.transport.call_identifiers import ToolNames
from infra.llm.transport.http_stream import Endpoint
from infra.llm.transport.response_parser import AnswerReader

# On Python 3.11 a lookup in the class takes forty times as long, and this one is made for every chat.
_ASSISTANT = Role.ASSISTANT


class HttpClient(LLMClient):
    """Calls one model over HTTP. Has no time limits of its own: `Deadline` sets them."""

    def __init__(
        self,
        endpoint: Endpoint,
        dialect: RouteDialect,
        new_reader: Callable[..., AnswerReader],
        tool_names: ToolNames,
    ) -> None:
        """Describe how the model is called.

        Args:
            endpoint: Where requests are posted.
            dialect: Writes requests; refusals of the server adapt it.
            new_reader: Creates the reader of an answer to the interaction with an id, given `names` too: the names of
                tools by the names that they were sent with, of those sent under another.
            tool_names: The names of tools in requests.
        """
        self._endpoint = endpoint
        self._dialect = dialect
        self._new_reader = new_reader
        self._tool_names = tool_names

    def reader_for(self, prompt: Prompt) -> Callable[[str], AnswerReader]:
        """Return what creates the reader of an answer to `prompt`, from the id of its interaction."""
        if prompt.tools and (names := self._tool_names.originals(prompt)):
            return partial(self._new_reader, names=names)
        return self._new_reader

    def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        return self._endpoint.ask(
            AdaptableRequest(self._dialect, prompt),
            self.reader_for(prompt),
            context,
            may_be_empty=prompt.messages[-1].role is _ASSISTANT,
            may_call=prompt.may_call_tools,
        )
