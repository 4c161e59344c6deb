"""The audit of packages without a network, and the bill of what the service is made of."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy.packages import audit
from deploy.packages.locks import Pin, for_here, pins_of
from tests.support.requirements_files import pinned

ROOT = audit.ROOT
A_PIN = Pin(name="some", version="1.0", marker=None, hashes=("0" * 64,))


@pytest.mark.parametrize("lock", audit.LOCKS)
def test_every_package_of_a_lock_has_a_hash_and_no_known_hole(lock: str) -> None:
    pins = pins_of(ROOT / lock)
    assert {pin.name for pin in pins} == set(pinned(lock))
    assert list(audit.faults_in_lock(lock, pins)) == []


def test_a_lock_is_read_whole() -> None:
    pins = pins_of(ROOT / "requirements-dev.lock")
    assert {pin.name for pin in pins} == set(pinned("requirements-dev.lock"))
    assert for_here(pins)["starlette"] == pinned("requirements.lock")["starlette"]
    assert "colorama" not in for_here(pins) or sys.platform == "win32"


@pytest.mark.parametrize("line", ["some>=1\n", "some @ https://a.example/x.whl\n", "-e .\nsome\n"])
def test_a_lock_with_anything_else_in_it_is_refused(tmp_path: Path, line: str) -> None:
    lock = tmp_path / "a.lock"
    lock.write_text(line)
    with pytest.raises(ValueError, match=r"a\.lock"):
        pins_of(lock)


@pytest.mark.parametrize(
    ("pin", "told"),
    [
        (replace(A_PIN, hashes=()), "no hash"),
        (replace(A_PIN, name="litellm"), "banned"),
        (replace(A_PIN, name="starlette", version="1.3.0"), "PYSEC-2026-249"),
        (replace(A_PIN, name="pyjwt", version="2.9.10"), "2.15.0"),
        (replace(A_PIN, name="pyjwt", version="2.15.0rc1"), "2.15.0"),
    ],
)
def test_what_is_wrong_in_a_lock_is_told(pin: Pin, told: str) -> None:
    (fault,) = audit.faults_in_lock("a.lock", [A_PIN, pin])
    assert told in fault
    assert f"{pin.name} {pin.version}" in fault


def test_what_is_installed_has_to_be_what_is_locked() -> None:
    installed = {"pip": "1", "same": "1", "other": "1", "extra": "1"}
    locked = {"same": "1", "other": "2", "missing": "1"}
    faults = list(audit.faults_in_installed(installed, locked))
    assert [fault.split()[0] for fault in faults] == ["extra", "other", "missing"]


def test_nothing_unknown_may_run_at_every_start_of_python(tmp_path: Path) -> None:
    assert list(audit.faults_in_folder(tmp_path)) == []
    for name in ("distutils-precedence.pth", "litellm_init.pth", "sitecustomize.py"):
        (tmp_path / name).write_text("import os; os.environ")
    faults = list(audit.faults_in_folder(tmp_path))
    assert [fault.split()[0] for fault in faults] == [
        "distutils-precedence.pth",
        "litellm_init.pth",
        "sitecustomize.py",
    ]


def test_a_report_of_pip_audit_is_understood() -> None:
    hole = {"id": "PYSEC-1", "fix_versions": ["2"], "aliases": []}
    report = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": [hole]},
            {"name": "b", "version": "1", "vulns": []},
            {"name": "c", "skip_reason": "not found"},
        ]
    }
    holes, looked_up, skipped = audit.holes_told_by(json.dumps(report))
    assert (holes, looked_up, skipped) == (["a 1: PYSEC-1, fixed in 2"], 2, 1)


@pytest.mark.parametrize(
    "printed",
    ["", "Traceback", '{"dependencies": [{"name": "a", "skip_reason": "not found"}]}'],
)
def test_a_database_that_cannot_be_reached_is_said_to_be_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], printed: str
) -> None:
    def run(command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess(command, 0, printed, "")

    monkeypatch.setattr(audit.subprocess, "run", run)
    monkeypatch.setattr(audit, "faults_here", lambda: iter(()))
    assert audit.main() == 0
    assert capsys.readouterr().out.count("no database of holes can be reached") == len(audit.LOCKS)


def test_a_hole_that_the_database_knows_fails_the_audit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "faults_here", lambda: iter(()))
    monkeypatch.setattr(audit, "ask_database", lambda _: (["a 1: PYSEC-1, fixed in 2"], 1, 0))
    assert audit.main() == 1
    assert "a 1: PYSEC-1" in capsys.readouterr().out


@contextmanager
def database(hole: dict[str, Any]) -> Iterator[str]:
    """A database of holes that knows of one in Starlette, as osv.dev tells it; yields where it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found = {"vulns": [hole]} if asked["package"]["name"] == "starlette" else {}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
def test_pip_audit_is_asked_about_every_package_and_its_answer_is_understood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixed = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}
    package = {"name": "starlette", "ecosystem": "PyPI"}
    hole = {"id": "PYSEC-1", "affected": [{"package": package, "ranges": [fixed]}]}
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PIP_AUDIT_VULNERABILITY_SERVICE", "osv")
    with database(hole) as url:
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", url)
        answer = audit.ask_database("requirements.lock")
    assert answer is not None
    (told,), looked_up, skipped = answer
    assert told.endswith("PYSEC-1, fixed in 99.0")
    assert (looked_up, skipped) == (len(for_here(pins_of(ROOT / "requirements.lock"))), 0)


@pytest.mark.slow
def test_the_bill_of_materials_is_valid_and_names_every_package_with_its_hashes() -> None:
    written = subprocess.run(
        [sys.executable, "-m", "deploy.packages.sbom"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written) is None
    bill = json.loads(written)
    pins = pins_of(ROOT / "requirements.lock")
    assert [(one["name"], one["version"]) for one in bill["components"]] == [
        (pin.name, pin.version) for pin in pins
    ]
    for component, pin in zip(bill["components"], pins, strict=True):
        told = [one["value"] for one in component["properties"] if one["name"] == "file:sha256"]
        assert told == list(pin.hashes)
        assert component.get("licenses") or not pin.is_for_here, pin.name
