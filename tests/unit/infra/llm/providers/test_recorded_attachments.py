"""An image and a document that real providers accepted: what is sent now has the same form."""

from base64 import b64decode, urlsafe_b64decode

import orjson
import pytest

from domain.entities.items import Attachment, Item, Text
from domain.entities.prompt import Message, Prompt, Role
from infra.llm.providers.gemini.request import request_body as gemini_body
from infra.llm.providers.openai.request import request_body as openai_body
from infra.llm.transport.base64_json import base64_string
from infra.llm.transport.dialect import Dialect
from tests.fakes.recordings import Recording, recordings


def recorded(name: str) -> Recording:
    for recording in recordings(name):
        if recording.response["status"] == 200:
            return recording
    pytest.skip("the recordings are not at hand")


def prompt_of(*items: Item) -> Prompt:
    text = "".join([item.text for item in items if isinstance(item, Text)])
    return Prompt(messages=(Message(role=Role.USER, text=text, items=items),))


def test_an_image_goes_to_gemini_as_one_that_was_accepted() -> None:
    accepted = recorded("gemini_image").request["json"]["contents"][0]["parts"]
    question, image = accepted
    inline = image["inlineData"]
    content = urlsafe_b64decode(inline["data"])
    prompt = prompt_of(
        Text(text=question["text"]), Attachment(media_type=inline["mimeType"], content=content)
    )
    body = orjson.loads(gemini_body(prompt, upstream="gemini-2.0-flash", family="f"))
    (sent,) = body["contents"]
    assert sent["role"] == "user"
    sent_image = sent["parts"][1]["inlineData"]
    assert b64decode(sent_image.pop("data"), validate=True) == content
    inline.pop("data")  # the same bytes in the other alphabet; both are accepted
    assert sent["parts"] == accepted


def test_a_document_goes_to_openai_as_one_that_was_accepted() -> None:
    accepted = recorded("openai_pdf").request["json"]["messages"]
    (message,) = accepted
    text, file = message["content"]
    head, _, data = file["file"]["file_data"].partition(";base64,")
    prompt = prompt_of(
        Text(text=text["text"]),
        Attachment(
            media_type=head.removeprefix("data:"),
            content=b64decode(data),
            name=file["file"]["filename"],
        ),
    )
    body = orjson.loads(openai_body(prompt, Dialect(), model="gpt-4o", family="f"))
    assert body["messages"] == accepted


@pytest.mark.parametrize("size", [0, 1, 2, 3, 196_607, 196_608, 196_609, 1_000_000])
def test_base64_is_the_same_in_pieces(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    prefix = 'data:a/"\\b;base64,'
    text = orjson.loads(orjson.dumps(base64_string(content, prefix)))
    assert b64decode(text.removeprefix(prefix), validate=True) == content
