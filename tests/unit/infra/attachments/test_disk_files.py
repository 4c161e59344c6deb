"""The files of attachments on a disk."""

import shutil
from pathlib import Path

from domain.entities.items import attachment_id
from domain.interfaces.attachments import StoredContent
from infra.attachments.disk_files import AttachmentFiles
from tests.fakes.interactions import an_id


def test_folders_that_a_copy_left_out_are_created(tmp_path: Path) -> None:
    """As a tool does that copies files, but no empty folders."""
    files = AttachmentFiles(tmp_path / "attachments")

    def put(content: bytes) -> str:
        name = attachment_id("ana", content)
        for folder in ("incoming", "erased", "locks"):
            shutil.rmtree(tmp_path / "attachments" / folder, ignore_errors=True)
        files.put("ana", name, StoredContent(media_type="text/plain", content=content), an_id())
        return name

    first, second = put(b"first"), put(b"second")
    for folder in ("incoming", "erased", "locks"):
        shutil.rmtree(tmp_path / "attachments" / folder)
    files.release("ana", first, lambda _: True)
    assert files.get("ana", first) is None
    kept = files.get("ana", second)
    assert kept is not None
    assert kept.content == b"second"
