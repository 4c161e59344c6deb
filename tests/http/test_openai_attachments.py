"""Content parts that are not text at POST /v1/chat/completions."""

from typing import Any

import pytest

from domain.entities.items import attachment_id
from tests.fakes.attachments import InMemoryAttachments
from tests.http.attachment_chats import (
    PDF,
    TEXT,
    WAV,
    application,
    complete,
    data_url,
    encoded,
    image_part,
    png,
    sent_to_model,
)
from tests.http.openai_door import is_error


def file_part(**file: Any) -> dict[str, Any]:
    return {"type": "file", "file": file}


def audio_part(data: str, form: str = "wav") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, "format": form}}


@pytest.fixture
def store() -> InMemoryAttachments:
    return InMemoryAttachments()


@pytest.mark.parametrize(
    ("part", "content", "media_type", "name"),
    [
        (image_part(data_url(png())), png(), "image/png", None),
        (audio_part(encoded(WAV)), WAV, "audio/wav", None),
        (audio_part(encoded(b"ID3\4"), "mp3"), b"ID3\4", "audio/mpeg", None),
        (
            file_part(file_data=data_url(PDF, "application/pdf"), filename="a.pdf"),
            *(PDF, "application/pdf", "a.pdf"),
        ),
        (
            file_part(file_data=data_url(TEXT, "text/plain;charset=utf-8")),
            *(TEXT, "text/plain", None),
        ),
    ],
)
async def test_a_part_reaches_the_model_is_stored_and_shown(
    store: InMemoryAttachments, part: dict[str, Any], content: bytes, media_type: str, name: str
) -> None:
    app = application(store)
    async with app.client() as client:
        response = await complete(client, part)
        assert response.status_code == 200, response.text
        page = (await client.get("/v1/history/ana")).json()
    (sent,) = sent_to_model(app)
    assert (sent.content, sent.media_type, sent.name) == (content, media_type, name)
    assert page["history"][0]["attachments"] == [
        {
            "id": attachment_id("ana", content),
            "mediaType": media_type,
            "bytes": len(content),
            "name": name,
        }
    ]


async def test_an_https_image_is_passed_on_and_not_fetched(store: InMemoryAttachments) -> None:
    app = application(store)
    async with app.client() as client:
        response = await complete(client, image_part("https://images.invalid/a.jpg"))
    assert response.status_code == 200
    (sent,) = sent_to_model(app)
    assert (sent.url, sent.media_type) == ("https://images.invalid/a.jpg", "image/jpeg")
    assert store.kept == {}


async def test_images_of_earlier_messages_are_sent_and_only_the_new_one_is_stored(
    store: InMemoryAttachments,
) -> None:
    app = application(store)
    messages = [
        {"role": "user", "content": [image_part(data_url(png(0)))]},
        {"role": "assistant", "content": "A point."},
        {"role": "user", "content": [image_part(data_url(png(1)))]},
    ]
    async with app.client() as client:
        response = await client.post(
            "/v1/chat/completions", json={"user": "ana", "messages": messages}
        )
    assert response.status_code == 200, response.text
    (asked,) = app.llm.asked
    first, _, last = asked.messages
    assert [one.content for one in (*first.items, *last.items)] == [png(0), png(1)]
    assert [stored.content for stored in store.kept.values()] == [png(1)]


@pytest.mark.parametrize(
    "after",
    [
        pytest.param({"role": "user", "content": "What is it?"}, id="a second question"),
        pytest.param({"role": "assistant", "content": "It is"}, id="a partial answer"),
    ],
)
async def test_an_image_before_the_last_message_is_stored_shown_and_read_back(
    store: InMemoryAttachments, after: dict[str, str]
) -> None:
    app = application(store)
    messages = [{"role": "user", "content": [image_part(data_url(png()))]}, after]
    content_id = attachment_id("ana", png())
    async with app.client() as client:
        response = await client.post(
            "/v1/chat/completions", json={"user": "ana", "messages": messages}
        )
        assert response.status_code == 200, response.text
        (shown,) = (await client.get("/v1/history/ana")).json()["history"]
        read = await client.get(f"/v1/history/ana/attachments/{content_id}")
    assert [one["id"] for one in shown["attachments"]] == [content_id]
    assert read.content == png()
    assert len(store.references_of["ana", content_id]) == 1


async def test_items_of_earlier_messages_are_not_stored_again(store: InMemoryAttachments) -> None:
    app = application(store)
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": [image_part(data_url(png()))]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "a long result " * 1000},
        {"role": "assistant", "content": "A point."},
        {"role": "user", "content": "Thanks."},
    ]
    async with app.client() as client:
        response = await client.post(
            "/v1/chat/completions", json={"user": "ana", "model": "all", "messages": messages}
        )
    assert response.status_code == 200, response.text
    assert store.kept == {}
    (asked,) = app.llm.asked
    assert [one.content for one in asked.messages[0].items] == [png()]


REFUSED = {
    "a picture that is a document": image_part(data_url(PDF)),
    "a type that is not supported": image_part(data_url(png(), "image/tiff")),
    "a data URL without base64": image_part("data:image/png,abc"),
    "no base64": image_part("data:image/png;base64,!!!!"),
    "http": image_part("http://images.invalid/a.png"),
    "no url": {"type": "image_url", "image_url": {}},
    "no object": {"type": "image_url", "image_url": "https://images.invalid/a.png"},
    "a format that is unknown": audio_part(encoded(WAV), "flac"),
    "a format that is no text": {"type": "input_audio", "input_audio": {"data": "", "format": []}},
    "a format that it is not": audio_part(encoded(WAV), "mp3"),
    "an id of a file elsewhere": file_part(file_id="file-1"),
    "a name too long": file_part(file_data=data_url(TEXT, "text/plain"), filename="a" * 256),
    "a name with NUL": file_part(file_data=data_url(TEXT, "text/plain"), filename="a\0"),
    "an empty file": file_part(file_data="data:text/plain;base64,"),
}


@pytest.mark.parametrize("part", REFUSED.values(), ids=REFUSED)
async def test_what_is_refused_is_named_by_its_place_and_nothing_is_stored(
    store: InMemoryAttachments, part: dict[str, Any]
) -> None:
    app = application(store)
    async with app.client() as client:
        response = await complete(client, image_part(data_url(png())), part)
    error = is_error(response, 422, "invalid_attachment")
    assert error["param"] == "messages[0].content[2]"
    assert store.kept == {}
    assert app.llm.asked == []
    assert app.history.kept == {}


async def test_seventeen_images_are_refused(store: InMemoryAttachments) -> None:
    app = application(store)
    parts = [image_part(data_url(png(number))) for number in range(17)]
    async with app.client() as client:
        response = await complete(client, *parts)
    assert is_error(response, 422, "invalid_request")["param"] == "messages[0].content"
    assert store.kept == {}


async def test_a_model_without_images_is_refused_by_name(store: InMemoryAttachments) -> None:
    app = application(store)
    async with app.client() as client:
        response = await complete(client, image_part(data_url(png())), model="files")
    error = is_error(response, 422, "unsupported_by_model")
    assert "images" in error["message"]
    assert store.kept == {}


async def test_while_the_store_is_away_no_model_is_asked(store: InMemoryAttachments) -> None:
    store.is_away = True
    app = application(store)
    async with app.client() as client:
        response = await complete(client, image_part(data_url(png())))
    is_error(response, 503, "history_unavailable")
    assert app.llm.asked == []


async def test_all_images_of_a_response_are_stored_since_all_its_input_is(
    store: InMemoryAttachments,
) -> None:
    app = application(store)
    content = [[{"type": "input_image", "image_url": data_url(png(number))}] for number in range(2)]
    messages = [
        {"role": "user", "content": content[0]},
        {"role": "assistant", "content": "A point."},
        {"role": "user", "content": content[1]},
    ]
    async with app.client() as client:
        body = {"user": "ana", "input": messages}
        assert (await client.post("/v1/responses", json=body)).status_code == 200
        unstored = await client.post("/v1/responses", json={**body, "user": "bob", "store": False})
        assert unstored.status_code == 200
    assert {stored.content for stored in store.kept.values()} == {png(0), png(1)}
    assert {user for user, _ in store.kept} == {"ana"}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (
            "/v1/responses",
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}
                ]
            },
            "input[0].content",
        ),
        (
            "/v1/responses",
            {
                "input": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "input_file",
                                "file_data": data_url(PDF, "application/pdf"),
                                "filename": "a" * 256,
                            }
                        ],
                    }
                ]
            },
            "input[0].content",
        ),
    ],
)
async def test_what_the_responses_format_refuses_has_the_same_name(
    store: InMemoryAttachments, path: str, body: dict[str, Any], param: str
) -> None:
    app = application(store)
    async with app.client() as client:
        response = await client.post(path, json={"user": "ana", **body})
    assert response.status_code == 422, response.text
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("invalid_attachment", param)
    assert store.kept == {}
