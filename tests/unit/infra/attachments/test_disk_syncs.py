"""Which folders are synced before a reference to an attachment counts as durable."""

from pathlib import Path

import pytest

from domain.entities.items import attachment_id
from domain.interfaces.attachments import StoredContent
from infra.attachments import disk_files
from infra.attachments.disk_files import AttachmentFiles
from tests.fakes.interactions import an_interaction

CONTENT = StoredContent(media_type="text/plain", content=b"a long text")
ID = attachment_id("ana", CONTENT.content)
FIRST, SECOND, THIRD, FOURTH = (an_interaction(number).id for number in range(4))


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the folders that were synced, in order."""
    names: list[str] = []
    original = disk_files.sync_folder

    def record(folder: Path) -> None:
        names.append(folder.name)
        original(folder)

    monkeypatch.setattr(disk_files, "sync_folder", record)
    return names


def test_a_further_reference_syncs_the_attachment_alone(tmp_path: Path, synced: list[str]) -> None:
    files = AttachmentFiles(tmp_path)
    files.put("ana", ID, CONTENT, FIRST)
    assert synced[-3:-2] == [ID]
    assert synced[-1] == "users"
    synced.clear()
    files.put("ana", ID, CONTENT, SECOND)
    assert synced == [ID]


def test_the_folders_of_an_attachment_that_another_process_wrote_are_synced(
    tmp_path: Path, synced: list[str]
) -> None:
    files, other = AttachmentFiles(tmp_path), AttachmentFiles(tmp_path)
    files.put("ana", ID, CONTENT, FIRST)
    other.release("ana", ID, lambda reference: True)
    other.put("ana", ID, CONTENT, SECOND)
    for reference, expected in ((THIRD, 3), (FOURTH, 1)):
        synced.clear()
        files.put("ana", ID, CONTENT, reference)
        assert (synced[0], len(synced)) == (ID, expected)
