"""A forked service is a process like one that was started by Python."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.service import running_service


@pytest.mark.slow
@pytest.mark.parametrize("python", [(sys.executable,), (sys.executable, "-X", "utf8")])
def test_a_service_answers_and_ends_in_order_however_it_was_started(
    tmp_path: Path, python: tuple[str, ...]
) -> None:
    with running_service(tmp_path / "data", python=python) as service:
        with service.client() as client:
            assert client.get("/health/live").status_code == 200
        assert service.stop() == 0
    assert service.lines_with("listening on ")


def test_a_killed_service_shows_the_signal(tmp_path: Path) -> None:
    with running_service(tmp_path / "data") as service:
        service.kill()
        assert service.process.returncode == -signal.SIGKILL
        assert not Path(f"/proc/{service.process.pid}").exists()


def test_a_service_has_its_own_environment_and_folder(tmp_path: Path) -> None:
    with running_service(tmp_path / "data", {"MIN_FREE_DISK_BYTES": "1"}) as service:
        folder = Path(f"/proc/{service.process.pid}")
        assert (folder / "cwd").resolve() == tmp_path.resolve()
        assert "MIN_FREE_DISK_BYTES" not in os.environ
        assert service.process.pid != os.getpid()


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="exit "),
        running_service(tmp_path / "data", {"PORT": "no number"}),
    ):
        pass
