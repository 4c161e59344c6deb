"""The service as nobody in particular: without rights, in folders it cannot write to, but for its data."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.keyed_requests import NATIVE, send
from tests.support.service import ROOT, Service, environment

NOBODY = 65534
ANY_USER = 1_000_680_000
"""One that no list of users knows, as OpenShift chooses it."""
MAY_READ = 1 << 2
"""CAP_DAC_READ_SEARCH, which is needed only where the interpreter lies in somebody's home."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can become somebody else, with util-linux's setpriv",
)


def as_nobody(*command: str, user: int = NOBODY, group: int = NOBODY) -> list[str]:
    """The command that runs another one without a user's rights."""
    rights = "-all"
    if not all(folder.stat().st_mode & 0o001 for folder in Path(sys.base_prefix).parents):
        rights = "-all,+dac_read_search"
    return [
        *("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"),
        *(f"--inh-caps={rights}", f"--ambient-caps={rights}", *command),
    ]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that everybody can enter and only root can write to, with one for data that is nobody's."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        home.chmod(0o755)
        (home / "data").mkdir(mode=0o700)
        os.chown(home / "data", NOBODY, NOBODY)
        yield home


def started(home: Path, **who: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        as_nobody(sys.executable, str(ROOT / "main.py"), "serve", **who),
        cwd=home,
        env={**environment(home / "data"), "HOME": "/nonexistent"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        umask=0,
    )


def can_be_written_by_nobody(folder: Path) -> bool:
    tried = subprocess.run(
        as_nobody("touch", str(folder / "try")),
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return tried.returncode == 0


@pytest.mark.slow
def test_it_needs_no_rights_and_writes_only_to_its_data(home: Path) -> None:
    for folder in (ROOT, ROOT / "app", home):
        assert not can_be_written_by_nobody(folder)
    assert can_be_written_by_nobody(home / "data")
    (home / "data" / "try").unlink()
    process = started(home)
    service = Service(process, home / "data")
    try:
        service.wait_until_listening()
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert f"Uid:\t{NOBODY}" in status
        (rights,) = re.findall(r"CapEff:\s+([0-9a-f]+)", status)
        assert int(rights, 16) & ~MAY_READ == 0
        with service.client() as client:
            first = send(client, NATIVE, "ana")
            assert first.status_code == 200
            assert send(client, NATIVE, "ana").headers["Idempotency-Replayed"] == "true"
            page = client.get("/v1/history/ana").json()["history"]
            assert [one["id"] for one in page] == [first.json()["id"]]
            assert client.get("/docs").status_code == 200
            assert client.get("/health/ready").json()["degraded"] == []
        assert service.stop() == 0
    finally:
        if process.poll() is None:
            service.kill()
        if process.stdout is not None:
            process.stdout.close()
    assert [path.name for path in home.iterdir()] == ["data"]
    files = list((home / "data").rglob("*"))
    assert {"history.db", "idempotency.db", "cursor.secret"} <= {path.name for path in files}
    for (
        path
    ) in files:  # although the process was told to let everybody read and write what it makes
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.slow
@pytest.mark.seen("E7")
def test_a_user_that_no_list_knows_can_keep_data_in_a_folder_of_its_group(home: Path) -> None:
    data = home / "data"
    os.chown(data, 10001, 0)
    data.chmod(data_mode_of_the_image())
    for _ in range(2):  # the second start finds what the first one made
        process = started(home, user=ANY_USER, group=0)
        service = Service(process, data)
        try:
            service.wait_until_listening()
            with service.client() as client:
                assert send(client, NATIVE, "ana").status_code == 200
                assert client.get("/health/ready").json()["degraded"] == []
            assert service.stop() == 0
        finally:
            if process.poll() is None:
                service.kill()
            if process.stdout is not None:
                process.stdout.close()
    for path in data.rglob("*"):
        assert path.stat().st_uid == ANY_USER
        assert path.stat().st_mode & 0o077 == 0, path


def data_mode_of_the_image() -> int:
    """The mode that the image gives to the folder for data, which belongs to the group 0 there."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "chown service:0 /data" in text
    return int(re.findall(r"mkdir --mode=(\d+) /data", text)[0], 8)
