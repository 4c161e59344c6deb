"""Attachments in the console; the routes that take and return them are scripted here."""

import base64
import json
import struct
import zlib
from typing import Any

import pytest
from playwright.sync_api import FilePayload, JSHandle, Request, Route, expect

from tests.e2e.console_page import ConsolePage

ID = "01a22b0c-0000-7000-8000-000000000000"


def png(red: int, green: int, blue: int, pixels: int = 64) -> bytes:
    """Return a square image of one colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    rows = (b"\0" + bytes((red, green, blue)) * pixels) * pixels
    head = struct.pack(">IIBBBBB", pixels, pixels, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


RED = png(200, 40, 40)
NOTE = "São três linhas.\n".encode()

SLOW_READS = """() => {
    const read = Blob.prototype.arrayBuffer;
    Blob.prototype.arrayBuffer = async function () {
        await new Promise((done) => setTimeout(done, 500));
        return read.call(this);
    };
}"""


class AttachmentRoutes:
    """Takes chats with attachments, keeps them, and returns them in history.

    Attributes:
        bodies: Bodies of the chats.
        reads: Requests for the content of an attachment.
    """

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.reads: list[Request] = []

    def answer_chat(self, route: Route) -> None:
        self.bodies.append(route.request.post_data_json)
        events = [
            ("meta", {"id": ID, "model": "m", "provider": "p", "conversationId": None}),
            ("delta", {"text": "I see it."}),
            ("done", {**self._interaction(), "history": {"status": "accepted"}}),
        ]
        body = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
        route.fulfill(content_type="text/event-stream", body=body)

    def answer_history(self, route: Route) -> None:
        path = route.request.url.partition("?")[0]
        if "/attachments/" in path:
            self.reads.append(route.request)
            sent = self.bodies[0]["attachments"][int(path[-1])]
            route.fulfill(
                content_type=sent["mediaType"],
                headers={"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"},
                body=base64.b64decode(sent["data"]),
            )
        elif path.endswith("/conversations"):
            route.fulfill(json={"conversations": [], "nextCursor": None})
        elif path.endswith(ID):
            route.fulfill(json={**self._interaction(), "response": "I see it."})
        else:
            found = [{**self._interaction(), "response": "I see it."}] if self.bodies else []
            route.fulfill(json={"history": found, "nextCursor": None, "complete": True})

    def _interaction(self) -> dict[str, Any]:
        sent = self.bodies[0]
        attachments = [
            {
                "id": f"attachment-{position}",
                "mediaType": one["mediaType"],
                "bytes": len(base64.b64decode(one["data"])),
                "name": one["name"],
            }
            for position, one in enumerate(sent.get("attachments", []))
        ]
        usage = dict.fromkeys(
            ("inputTokens", "outputTokens", "reasoningTokens", "totalTokens", "costUsd")
        )
        return {
            "id": ID,
            "userId": sent["userId"],
            "conversationId": sent["conversationId"],
            "timestamp": "2026-11-22T10:00:00.123Z",
            "userPrompt": sent["userPrompt"],
            "systemPrompt": "",
            "temperature": None,
            "model": "m",
            "requestedModel": "m",
            "provider": "p",
            "status": "completed",
            "finishReason": "stop",
            "fallbackUsed": False,
            "llmResponseSeconds": 0.1,
            "timeToFirstTokenSeconds": 0.1,
            "usage": usage,
            "attempts": [],
            "error": None,
            "attachments": attachments,
        }


@pytest.fixture
def routes(console: ConsolePage) -> AttachmentRoutes:
    routes = AttachmentRoutes()
    console.page.route("**/v1/chat", routes.answer_chat)
    console.page.route("**/v1/history/**", routes.answer_history)
    return routes


def files_of(console: ConsolePage, *files: tuple[str, str, bytes]) -> JSHandle:
    """Return a DataTransfer with files, each a name, a media type and a content."""
    encoded = [[name, media_type, list(content)] for name, media_type, content in files]
    return console.page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [name, type, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
            return transfer;
        }""",
        encoded,
    )


def attach(console: ConsolePage, *files: FilePayload) -> None:
    with console.page.expect_file_chooser() as choosing:
        console.page.get_by_role("button", name="Attach files").click()
    choosing.value.set_files(list(files))


def test_an_image_and_a_file_are_sent_and_shown_in_chat_and_history(
    console: ConsolePage, routes: AttachmentRoutes
) -> None:
    console.open()
    attach(
        console,
        {"name": "red.png", "mimeType": "image/png", "buffer": RED},
        {"name": "note.md", "mimeType": "text/markdown", "buffer": NOTE},
    )
    expect(console.page.locator("#announcer")).to_have_text("2 files attached: red.png, note.md")
    assert console.violations() == []
    turn = console.asked("What is it?")
    assert routes.bodies[0]["attachments"] == [
        {"mediaType": "image/png", "name": "red.png", "data": base64.b64encode(RED).decode()},
        {"mediaType": "text/markdown", "name": "note.md", "data": base64.b64encode(NOTE).decode()},
    ]
    expect(console.page.locator(".attached li")).to_have_count(0)
    width = "image => image.naturalWidth"
    picture = turn.get_by_role("img", name="red.png")
    expect(picture).to_be_visible()
    assert picture.evaluate(width) == 64
    assert console.violations() == []
    assert routes.reads == []  # what was sent is still in the page

    console.page.reload()
    expect(picture).to_be_visible()
    assert picture.evaluate(width) == 64
    turn.get_by_role("link", name="See in history").click()
    detail = console.page.locator(".detail")
    expect(detail.get_by_role("img", name="red.png")).to_be_visible()
    expect(console.items.first).to_contain_text("2 attachments")
    with console.page.expect_download() as downloading:
        detail.get_by_role("link", name="note.md").click()
    assert downloading.value.suggested_filename == "note.md"
    assert downloading.value.path().read_bytes() == NOTE


def test_an_image_in_history_is_read_with_the_credential(
    console: ConsolePage, routes: AttachmentRoutes
) -> None:
    page = console.page
    page.route("**/v1/models", lambda route: route.fulfill(status=401, json={}))
    page.goto("/")
    page.get_by_label("Key or token").fill("rtg_key")
    page.unroute("**/v1/models")
    page.get_by_role("button", name="Save").click()
    attach(console, {"name": "red.png", "mimeType": "image/png", "buffer": RED})
    console.asked("What is it?").get_by_role("link", name="See in history").click()
    expect(page.locator(".detail").get_by_role("img", name="red.png")).to_be_visible()
    assert [read.headers["authorization"] for read in routes.reads] == ["Bearer rtg_key"]


def test_an_image_is_pasted_with_the_keyboard_and_removed_again(
    console: ConsolePage, routes: AttachmentRoutes
) -> None:
    page = console.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    console.open()
    page.evaluate(
        """async (bytes) => {
            const image = new Blob([new Uint8Array(bytes)], { type: "image/png" });
            await navigator.clipboard.write([new ClipboardItem({ "image/png": image })]);
        }""",
        list(RED),
    )
    console.prompt.focus()
    page.keyboard.press("Control+v")
    attached = page.locator(".attached").get_by_role("listitem")
    expect(attached).to_have_count(1)
    page.keyboard.press("Control+v")
    expect(attached).to_have_count(2)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(attached).to_have_count(1)
    expect(attached.get_by_role("button", name="Remove image.png")).to_be_focused()
    expect(page.locator("#announcer")).to_have_text("image.png was removed")
    page.keyboard.press("Enter")
    expect(attached).to_have_count(0)
    expect(page.get_by_role("button", name="Attach files")).to_be_focused()
    page.evaluate(SLOW_READS)
    console.prompt.focus()
    page.keyboard.press("Control+v")
    page.keyboard.type("What is it?")
    page.keyboard.press("Enter")
    expect(console.turns.get_by_role("img", name="image.png")).to_be_visible()
    expect(attached).to_have_count(0)
    assert [one["name"] for one in routes.bodies[0]["attachments"]] == ["image.png"]


def test_files_are_dropped_and_those_beyond_the_limits_are_refused_with_a_message(
    console: ConsolePage,
) -> None:
    console.open()
    chat = console.page.locator(".chat")
    attached = console.page.locator(".attached li")
    problems = console.page.get_by_role("alert")
    dropped = files_of(
        console,
        ("data.json", "application/json", b"{}"),
        ("run.exe", "application/x-msdownload", b"MZ"),
        ("none.txt", "text/plain", b""),
    )
    chat.dispatch_event("dragover", {"dataTransfer": dropped})
    expect(chat).to_have_class("chat is-target")
    chat.dispatch_event("drop", {"dataTransfer": dropped})
    expect(chat).to_have_class("chat")
    expect(attached).to_have_count(1)
    expect(problems).to_contain_text(["run.exe cannot be attached", "none.txt is empty"])
    assert console.violations() == []
    large = console.page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(20 * 1024 * 1024 + 1)], "large.pdf", { type: "application/pdf" }));
            return transfer;
        }"""
    )
    chat.dispatch_event("drop", {"dataTransfer": large})
    expect(problems).to_contain_text(["large.pdf is larger than 20 MiB"])
    many = files_of(console, *((f"{number}.txt", "text/plain", b"a") for number in range(16)))
    chat.dispatch_event("drop", {"dataTransfer": many})
    expect(attached).to_have_count(16)
    expect(problems).to_contain_text(["At most 16 files"])
