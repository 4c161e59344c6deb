"""Long texts that are stored apart are loaded, wherever in the request they are."""

from domain.entities.items import LONG_TEXT, ToolCall, ToolResult, attachment_id
from domain.entities.prompt import Message, Prompt, Role
from domain.interfaces.attachments import StoredContent
from domain.use_cases.load_contents import LoadContents
from tests.fakes.attachments import InMemoryAttachments
from tests.fakes.contents import LONG
from tests.fakes.interactions import an_interaction


async def test_a_long_result_after_a_message_of_text_is_loaded() -> None:
    content_id = attachment_id("ana", LONG.encode())
    call = ToolCall(id="call_0", name="look_up", arguments="{}")
    result = ToolResult(call_id=call.id, output="", content_id=content_id)
    prompt = Prompt(
        messages=(
            Message(role=Role.USER, text="look it up"),
            Message(role=Role.ASSISTANT, text="", items=(call,)),
            Message(role=Role.USER, text="", items=(result,)),
        ),
        keeps_input=True,
    )
    turn = an_interaction(1, prompt=prompt)
    store = InMemoryAttachments()
    content = StoredContent(media_type=LONG_TEXT, content=LONG.encode())
    await store.put("ana", content_id, content, interaction_id=turn.id)
    (loaded,) = await LoadContents(store)([turn])
    assert [result.output for result in loaded.prompt.results] == [LONG]
