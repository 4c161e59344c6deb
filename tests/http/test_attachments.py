"""Images, documents and audio at POST /v1/chat, and GET of their bytes."""

from pathlib import Path

import orjson
import pytest

from domain.entities.items import Attachment, Text, attachment_id
from domain.interfaces.attachments import StoredContent
from infra.attachments.disk import DiskAttachments, open_disk_attachments
from infra.attachments.outbox import OutboxAttachments
from infra.clock import SystemClock
from infra.history.format.documents import document_of
from tests.fakes.attachments import InMemoryAttachments
from tests.http.attachment_chats import (
    PDF,
    TEXT,
    WAV,
    application,
    chat,
    encoded,
    native,
    png,
    sent_to_model,
)
from tests.http.tool_chats import errors_of

MEBIBYTE = 1024 * 1024


@pytest.fixture
def store() -> InMemoryAttachments:
    return InMemoryAttachments()


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (png(), "image/png"),
        (b"\xff\xd8\xff\xe0JFIF", "image/jpeg"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"GIF89a\1\0\1\0", "image/gif"),
        (PDF, "application/pdf"),
        (WAV, "audio/wav"),
        (b"ID3\4\0\0", "audio/mpeg"),
        (TEXT, "text/plain"),
        (TEXT, "text/csv"),
    ],
)
async def test_an_attachment_reaches_the_model_is_stored_shown_and_read_back(
    store: InMemoryAttachments, content: bytes, media_type: str
) -> None:
    app = application(store)
    content_id = attachment_id("ana", content)
    async with app.client() as client:
        response = await chat(client, native(content, media_type, name="it"))
        assert response.status_code == 200, response.text
        shown = [{"id": content_id, "mediaType": media_type, "bytes": len(content), "name": "it"}]
        assert response.json()["attachments"] == shown
        page = (await client.get("/v1/history/ana")).json()
        assert page["history"][0]["attachments"] == shown
        assert encoded(content) not in str(page)
        read = await client.get(f"/v1/history/ana/attachments/{content_id}")
    (sent,) = sent_to_model(app)
    assert (sent.content, sent.media_type, sent.name) == (content, media_type, "it")
    assert read.content == content
    assert read.headers["content-type"].partition(";")[0] == media_type


async def test_the_bytes_are_served_with_headers_that_no_browser_runs(
    store: InMemoryAttachments,
) -> None:
    page = b"<script>alert(1)</script>"
    app = application(store)
    path = f"/v1/history/ana/attachments/{attachment_id('ana', page)}"
    async with app.client() as client:
        assert (await chat(client, native(page, "text/html"))).status_code == 200
        read, head = await client.get(path), await client.head(path)
    for response in (read, head):
        assert response.status_code == 200
        assert response.headers["content-disposition"] == "attachment"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert response.headers["cache-control"] == "private, no-store"
        assert response.headers["content-length"] == str(len(page))
    assert head.content == b""


async def test_a_stored_attachment_is_sent_again_by_its_id(store: InMemoryAttachments) -> None:
    app = application(store)
    async with app.client() as client:
        first = (await chat(client, native(png(), name="a.png"))).json()
        (shown,) = first["attachments"]
        again = await chat(client, {"attachmentId": shown["id"], "name": "b.png"}, model="images")
    assert again.status_code == 200, again.text
    assert again.json()["attachments"] == [{**shown, "name": "b.png"}]
    (sent,) = sent_to_model(app)
    assert (sent.content, sent.media_type) == (png(), "image/png")
    assert len(store.references_of["ana", shown["id"]]) == 2


async def test_a_stored_attachment_of_a_kind_that_the_model_lacks_is_refused(
    store: InMemoryAttachments,
) -> None:
    app = application(store)
    async with app.client() as client:
        (shown,) = (await chat(client, native(png()))).json()["attachments"]
        response = await chat(client, {"attachmentId": shown["id"]}, model="files")
    assert list(errors_of(response, "unsupported-by-model")) == ["/model"]
    assert len(app.llm.asked) == 1
    assert len(store.references_of["ana", shown["id"]]) == 1


async def test_an_https_reference_is_passed_on_as_it_is(store: InMemoryAttachments) -> None:
    app = application(store)
    url = "https://images.invalid/a.png?key=1"
    async with app.client() as client:
        response = await chat(client, {"url": url})
        typed = await chat(client, {"url": "https://images.invalid/7", "mediaType": "image/webp"})
    reference = {"id": None, "mediaType": "image/png", "bytes": None, "name": None, "url": url}
    assert response.json()["attachments"] == [reference]
    assert typed.json()["attachments"][0]["mediaType"] == "image/webp"
    assert [one.url for one in sent_to_model(app, 0)] == [url]
    assert store.kept == {}


REFUSED = {
    "a type that is not supported": native(b"MZ", "application/x-msdownload"),
    "svg, which can contain scripts": native(b"<svg/>", "image/svg+xml"),
    "a type too long": native(TEXT, "text/" + "x" * 123),
    "no type": {"data": encoded(png())},
    "a picture that is a document": native(PDF),
    "a sound that is a picture": native(png(), "audio/wav"),
    "webp that is a sound": native(WAV, "image/webp"),
    "a text that is none": native(b"\xff\xfe\0", "text/plain"),
    "a text cut within a character": native("ü".encode()[:1], "text/plain"),
    "a text with NUL": native(b"a\0b", "text/plain"),
    "nothing": native(b""),
    "no base64": {"mediaType": "text/plain", "data": "a.b!"},
    "base64 with something after it": {"mediaType": "text/plain", "data": "YWI=YWI="},
    "one character too many": {"mediaType": "text/plain", "data": "YWJjY"},
    "base64 of another alphabet": {"mediaType": "text/plain", "data": "_-_-"},
    "letters beyond ASCII": {"mediaType": "text/plain", "data": "YWÜi"},
    "no source": {"mediaType": "image/png"},
    "two sources": {**native(png()), "url": "https://a.invalid/a.png"},
    "http": {"url": "http://a.invalid/a.png"},
    "a file of the host": {"url": "file:///etc/passwd", "mediaType": "text/plain"},
    "no host": {"url": "https:///a.png"},
    "no address": {"url": "https://[a.png", "mediaType": "image/png"},
    "an address with a space": {"url": "https://a.invalid/a b.png"},
    "an address with a line break": {"url": "https://a.invalid/\r\nHost: b/a.png"},
    "an address that tells no type": {"url": "https://a.invalid/a"},
    "an id that is unknown": {"attachmentId": attachment_id("ana", b"never sent")},
    "an id of another user": {"attachmentId": attachment_id("bob", png())},
}


@pytest.mark.parametrize("attached", REFUSED.values(), ids=REFUSED)
async def test_what_is_refused_is_named_by_its_number_and_nothing_is_stored(
    store: InMemoryAttachments, attached: dict[str, str]
) -> None:
    app = application(store)
    async with app.client() as client:
        await chat(client, native(png()), userId="bob")
        kept = dict(store.kept)
        response = await chat(client, native(png(1)), {"url": "https://a.invalid/a.png"}, attached)
    assert list(errors_of(response, "invalid-attachment")) == ["/attachments/2"]
    assert store.kept == kept
    assert len(app.llm.asked) == 1
    assert {one.user_id for one in app.history.kept.values()} == {"bob"}


async def test_base64_may_come_without_its_padding(store: InMemoryAttachments) -> None:
    app = application(store)
    async with app.client() as client:
        for text in (b"a", b"ab", b"abc"):
            attached = {"mediaType": "text/plain", "data": encoded(text).rstrip("=")}
            assert (await chat(client, attached)).status_code == 200
    assert [sent_to_model(app, number)[0].content for number in range(3)] == [b"a", b"ab", b"abc"]


@pytest.mark.slow
async def test_20_mebibytes_are_taken_and_21_are_not(store: InMemoryAttachments) -> None:
    app = application(store)
    largest = b"a" * (20 * MEBIBYTE)
    async with app.client() as client:
        taken = await chat(client, native(largest, "text/plain"))
        larger = await chat(client, native(largest + b"a", "text/plain"))
        much_larger = await chat(client, native(largest + b"a" * MEBIBYTE, "text/plain"))
    assert taken.status_code == 200
    assert store.kept["ana", attachment_id("ana", largest)].content == largest
    for response in (larger, much_larger):
        errors = errors_of(response, "invalid-attachment")
        assert errors == {"/attachments/0": "must be at most 20 MiB"}
    assert len(store.kept) == 1


async def test_large_base64_is_checked_to_its_end(store: InMemoryAttachments) -> None:
    app = application(store)
    data = encoded(b"a" * MEBIBYTE)
    middle = 512 * 1024
    async with app.client() as client:
        for wrong in (
            data[: middle - 1] + "=" + data[middle:],
            data[: middle - 2] + "==" + data[middle:],
            data[:middle] + "!" + data[middle + 1 :],
            data[:-4] + "a!==",
        ):
            response = await chat(client, {"mediaType": "text/plain", "data": wrong})
            errors = errors_of(response, "invalid-attachment")
            assert errors == {"/attachments/0": "must be base64"}


async def test_sixteen_are_taken_and_seventeen_are_not(store: InMemoryAttachments) -> None:
    app = application(store)
    many = [native(png(number)) for number in range(17)]
    async with app.client() as client:
        assert (await chat(client, *many[:16])).status_code == 200
        response = await chat(client, *many)
    assert len(sent_to_model(app)) == 16
    assert list(errors_of(response)) == ["/attachments"]
    assert len(store.kept) == 16


class CountedReads(InMemoryAttachments):
    """Counts the contents that are read."""

    reads = 0

    async def get(self, user_id: str, attachment_id: str) -> StoredContent | None:
        self.reads += 1
        return await super().get(user_id, attachment_id)


async def test_an_id_that_is_named_sixteen_times_is_read_once() -> None:
    store = CountedReads()
    app = application(store)
    content = png(0, 3 * MEBIBYTE)
    async with app.client() as client:
        (shown,) = (await chat(client, native(content))).json()["attachments"]
        response = await chat(client, *[{"attachmentId": shown["id"]}] * 16)
    assert response.status_code == 200, response.text
    assert response.json()["attachments"] == [shown] * 16
    assert store.reads == 1
    sent = sent_to_model(app)
    assert len(sent) == 16
    assert len({id(one.content) for one in sent}) == 1, "all share the same bytes"


@pytest.mark.slow
async def test_stored_attachments_above_the_limit_of_a_body_are_refused(
    store: InMemoryAttachments,
) -> None:
    app = application(store)
    async with app.client() as client:
        named = []
        for number in range(2):
            (shown,) = (await chat(client, native(png(number, 17 * MEBIBYTE)))).json()[
                "attachments"
            ]
            named.append({"attachmentId": shown["id"]})
        kept = dict(app.history.kept)
        response = await chat(client, *named)
        with_bytes = await chat(client, named[0], native(png(2, 17 * MEBIBYTE)))
    for refused in (response, with_bytes):
        errors = errors_of(refused, "invalid-attachment")
        assert errors == {"/attachments/1": "all together must be at most 33554432 bytes"}
    assert len(app.llm.asked) == 2
    assert app.history.kept == kept
    assert len(store.kept) == 2
    assert all(len(references) == 1 for references in store.references_of.values())


@pytest.mark.parametrize(
    ("content", "media_type", "capability"),
    [
        (png(), "image/png", "images"),
        (PDF, "application/pdf", "files"),
        (WAV, "audio/wav", "audio"),
    ],
)
async def test_a_model_that_cannot_read_it_is_refused_by_the_name_of_the_capability(
    store: InMemoryAttachments, content: bytes, media_type: str, capability: str
) -> None:
    app = application(store)
    async with app.client() as client:
        response = await chat(client, native(content, media_type), model="blind")
        text = await chat(client, native(TEXT, "text/plain"), model="blind")
    errors = errors_of(response, "unsupported-by-model")
    assert capability in errors["/model"]
    assert text.status_code == 200, "every model reads text"
    assert [content.content for content in store.kept.values()] == [TEXT]


async def test_without_a_store_attachments_are_refused_and_references_are_not() -> None:
    app = application(None)
    async with app.client() as client:
        response = await chat(client, native(png()))
        reference = await chat(client, {"url": "https://a.invalid/a.png"})
        read = await client.get(f"/v1/history/ana/attachments/{attachment_id('ana', png())}")
    assert list(errors_of(response, "invalid-attachment")) == ["/attachments/0"]
    assert reference.status_code == 200
    assert read.status_code == 404


async def test_while_the_store_is_away_no_model_is_asked(store: InMemoryAttachments) -> None:
    store.is_away = True
    app = application(store)
    async with app.client() as client:
        response = await chat(client, native(png()))
        plain = await chat(client)
    assert response.status_code == 503
    assert response.json()["type"] == "/problems/history-unavailable"
    assert plain.status_code == 200
    assert len(app.llm.asked) == 1


async def test_while_the_store_is_away_long_texts_stay_with_the_interaction(
    store: InMemoryAttachments,
) -> None:
    """A text file of the same type and size is no such text."""
    store.is_away = True
    app = application(store)
    system = "Be short. " * 1000
    tool = {"name": "look", "description": "Looks. " * 2000}
    async with app.client() as client:
        response = await chat(client, systemPrompt=system, tools=[tool], model="tools")
        assert response.status_code == 200, response.text
        file = await chat(client, native(b"a long file " * 1000, "text/plain"), systemPrompt=system)
        assert file.status_code == 503
        shown = (await client.get("/v1/history/ana")).json()["history"]
    assert [each["systemPrompt"] for each in shown] == [system]
    (kept,) = app.history.kept.values()
    assert kept.content_ids == ()
    assert kept.prompt.tools[0].description == tool["description"]
    assert len(app.llm.asked) == 1


async def test_with_an_outbox_a_chat_with_an_image_does_not_need_the_store(
    store: InMemoryAttachments, tmp_path: Path
) -> None:
    store.is_away = True
    clock = SystemClock()
    async with open_disk_attachments(tmp_path, clock=clock, min_free_disk_bytes=0) as local:
        app = application(OutboxAttachments(local, store))
        path = f"/v1/history/ana/attachments/{attachment_id('ana', png())}"
        async with app.client() as client:
            assert (await chat(client, native(png()), conversationId="c")).status_code == 200
            assert (await chat(client, conversationId="c")).status_code == 200
            assert (await client.get(path)).content == png()
        assert [sent.content for sent in _all_sent(app.llm.asked[1].messages[0].items)] == [png()]


async def test_a_nearly_full_disk_refuses_before_a_model_is_asked(tmp_path: Path) -> None:
    full = DiskAttachments(tmp_path, min_free_disk_bytes=2**62)
    await full.look()
    app = application(full)
    async with app.client() as client:
        assert (await chat(client, native(png()))).status_code == 503
    full.close()
    assert app.llm.asked == []
    assert list(tmp_path.iterdir()) == []


async def test_later_turns_of_a_conversation_send_the_image_again(
    store: InMemoryAttachments,
) -> None:
    app = application(store)
    async with app.client() as client:
        await chat(client, native(png(), name="a.png"), conversationId="c")
        await chat(client, conversationId="c")
        await chat(client, conversationId="c", model="blind")
        store.kept.clear()
        await chat(client, conversationId="c")
    _, seen, unseen, erased = [asked.messages[0].items for asked in app.llm.asked]
    assert [one.content for one in _all_sent(seen)] == [png()]
    for items in (unseen, erased):
        assert _all_sent(items) == []
        assert items[0] == Text(text="[attachment a.png, image/png, not available here]")


async def test_a_conversation_with_an_image_fails_clearly_while_the_store_is_away(
    store: InMemoryAttachments,
) -> None:
    app = application(store)
    async with app.client() as client:
        await chat(client, native(png()), conversationId="c")
        store.is_away = True
        response = await chat(client, conversationId="c")
    assert response.status_code == 503
    assert len(app.llm.asked) == 1


async def test_a_repeated_request_is_answered_once_and_stored_once(
    store: InMemoryAttachments,
) -> None:
    app = application(store)
    key = {"Idempotency-Key": "k"}
    async with app.client() as client:
        first = await chat(client, native(png()), headers=key)
        second = await chat(client, native(png()), headers=key)
        other = await chat(client, native(png(1)), headers=key)
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json() == first.json()
    assert other.json()["type"] == "/problems/idempotency-mismatch"
    assert len(app.llm.asked) == 1
    (references,) = store.references_of.values()
    assert references == {first.json()["id"]}


async def test_erasing_one_keeps_what_another_refers_to(store: InMemoryAttachments) -> None:
    app = application(store)
    async with app.client() as client:
        first = (await chat(client, native(png()))).json()
        second = (await chat(client, native(png()))).json()
        path = f"/v1/history/ana/attachments/{first['attachments'][0]['id']}"
        await client.delete(f"/v1/history/ana/{first['id']}")
        assert (await client.get(path)).content == png()
        await client.delete(f"/v1/history/ana/{second['id']}")
        gone = await client.get(path)
    assert gone.status_code == 404
    assert store.kept == {}


async def test_erasing_a_user_erases_the_attachments_of_that_user_alone(
    store: InMemoryAttachments,
) -> None:
    app = application(store)
    async with app.client() as client:
        await chat(client, native(png()))
        await chat(client, native(png()), userId="bob")
        await client.delete("/v1/history/ana")
        gone = await client.get(f"/v1/history/ana/attachments/{attachment_id('ana', png())}")
        kept = await client.get(f"/v1/history/bob/attachments/{attachment_id('bob', png())}")
        wrong = await client.get(f"/v1/history/ana/attachments/{attachment_id('bob', png())}")
    assert (gone.status_code, kept.content, wrong.status_code) == (404, png(), 404)
    assert {user for user, _ in store.kept} == {"bob"}


def _all_sent(items: object) -> list[Attachment]:
    assert isinstance(items, tuple)
    return [item for item in items if isinstance(item, Attachment)]


async def test_rows_stay_small_whatever_is_attached(store: InMemoryAttachments) -> None:
    app = application(store)
    image = png(size_bytes=2_000_000)
    async with app.client() as client:
        for number in range(16):
            response = await chat(
                client,
                native(image, name="a.png"),
                userPrompt=f"question {number}",
                systemPrompt="x" * 32_768,
                conversationId="c",
            )
            assert response.status_code == 200, response.text
    rows = [orjson.dumps(document_of(one)) for one in app.history.kept.values()]
    assert len(rows) == 16
    assert max(map(len, rows)) <= 64 * 1024
    assert {len(stored.content) for stored in store.kept.values()} == {len(image), 32_768}
