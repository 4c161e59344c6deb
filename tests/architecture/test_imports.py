"""Importing opens, reads and connects nothing, and needs no package that is not configured."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADAPTER_OF: dict[tuple[str, ...], tuple[str, ...]] = {
    ("pymongo", "bson"): ("mongo", "gridfs"),
    ("aiobotocore", "botocore"): ("dynamo", "sqs", "s3", "aws", "bedrock"),
    ("opentelemetry.sdk", "opentelemetry.exporter"): ("tracing",),
    ("jwt",): ("jwt", "jwk"),
    ("google.auth",): ("google",),
    ("cryptography",): ("jwt", "jwk", "sealing"),
}
"""Optional packages, and the words in the names of the modules that need them, so that a file's name says what it needs."""
SOURCES = [".env", *(str(ROOT / layer) for layer in ("app", "commands", "domain", "infra"))]
MODULES = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for layer in ("app", "commands", "domain", "infra")
    for file in sorted((ROOT / layer).rglob("*.py"))
] + ["dependency_injection", "main"]

IMPORT = """
import importlib, json, os, sys, threading
sources, names, forbidden = json.loads(sys.argv[1])
sources = tuple(sources)

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if any(name == each or name.startswith(each + ".") for each in forbidden):
            raise ModuleNotFoundError(f"blocked: {name}")
sys.meta_path.insert(0, Blocked())

loud = {"socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.mkdir"}
done = []
def watch(event, args):
    if event in loud and args[1:] != (("::1", 0),):  # urllib3 tries so whether IPv6 is there
        done.append(f"{event} {args!r}")
    elif event == "open" and isinstance(args[0], str):
        writes = isinstance(args[1], str) and set(args[1]) & set("wax+")
        ours = args[0].startswith(sources) and not args[0].endswith((".py", ".pyc"))
        if writes or ours:
            done.append(f"{event} {args!r}")
sys.addaudithook(watch)

for name in names:
    importlib.import_module(name)
done += [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
json.dump([done, sorted(sys.modules)], sys.stdout)
"""


def imported(
    names: list[str], cwd: Path, *, forbidden: tuple[str, ...] = ()
) -> tuple[list[str], set[str]]:
    """Import modules in a process with an empty environment and an empty working directory.

    Returns:
        What it did besides, and the names of all modules it then had.
    """
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{IMPORT}"
    ran = subprocess.run(
        [sys.executable, "-B", "-c", program, json.dumps([SOURCES, names, forbidden])],
        cwd=cwd,
        env={},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    done, modules = json.loads(ran.stdout)
    return done, set(modules)


def test_importing_everything_opens_nothing(tmp_path: Path) -> None:
    done, modules = imported(MODULES, tmp_path)
    assert done == []
    assert list(tmp_path.iterdir()) == []
    assert set(MODULES) <= modules


def test_starting_loads_no_package_that_is_not_configured(tmp_path: Path) -> None:
    _, modules = imported(
        ["main", "dependency_injection", "commands.history", "commands.queue"], tmp_path
    )
    assert modules.isdisjoint(package for packages in ADAPTER_OF for package in packages)


@pytest.mark.slow
@pytest.mark.parametrize("packages", ADAPTER_OF, ids=" ".join)
def test_only_its_own_adapter_needs_an_optional_package(
    packages: tuple[str, ...], tmp_path: Path
) -> None:
    without = [name for name in MODULES if not any(word in name for word in ADAPTER_OF[packages])]
    imported(without, tmp_path, forbidden=packages)


def test_nobody_breaks_off_a_call_of_the_mongodb_driver() -> None:
    """`infra/tasks/uncancelled_calls.py` says why; `asyncio.timeout` would cancel it."""
    users = [file for file in (ROOT / "infra").rglob("*.py") if "pymongo" in file.read_text()]
    assert len(users) > 5
    for file in users:
        breaking = re.findall(r"asyncio\.(?:timeout|wait_for)\(", file.read_text())
        assert not breaking, f"{file} cancels what the driver does"
