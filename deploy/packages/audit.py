"""`make audit`: are the installed packages the locked ones, and is a hole known in any of them?

First what can be seen without a network, then `pip-audit`. Where its database cannot be reached, that is said, and the
first part alone decides.
"""

import hashlib
import json
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from deploy.packages.locks import Pin, for_here, pins_of

ROOT = Path(__file__).parents[2]
LOCKS = (
    "requirements-uv.lock",
    "requirements.lock",
    "requirements-dev.lock",
    "deploy/aws/requirements.lock",
    "tests/e2e/llama_index/requirements.lock",
)
INSTALLED_LOCK = "requirements-dev.lock"
BROUGHT_BY_PYTHON = {"pip", "setuptools"}
"""Packages of a new virtual environment."""
_ASKING_SECONDS = 300


def known() -> dict[str, Any]:
    """Return the vulnerabilities listed in known.toml."""
    text = (ROOT / "deploy" / "packages" / "known.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def faults_in_lock(name: str, pins: Sequence[Pin]) -> Iterator[str]:
    """Yield the faults of the packages of a lock."""
    listed = known()
    for pin in pins:
        what = f"{name}: {pin.name} {pin.version}"
        if not pin.hashes:
            yield f"{what} has no hash"
        if (why := listed["banned"].get(pin.name)) is not None:
            yield f"{what} is banned: {why}"
        fixed = listed["fixed"].get(pin.name)
        if fixed is not None and Version(pin.version) < Version(fixed["version"]):
            holes = ", ".join(fixed["holes"])
            yield f"{what} has known holes ({holes}); {fixed['version']} is the first without"


def faults_in_installed(installed: Mapping[str, str], locked: Mapping[str, str]) -> Iterator[str]:
    """Yield the differences between installed and locked packages."""
    for name, version in sorted(installed.items()):
        if (wanted := locked.get(name)) is None:
            if name not in BROUGHT_BY_PYTHON:
                yield f"{name} {version} is installed and not locked"
        elif wanted != version:
            yield f"{name} {version} is installed, and {wanted} is locked"
    for name in sorted(locked.keys() - installed.keys()):
        yield f"{name} {locked[name]} is locked and not installed"


def faults_in_folder(packages: Path) -> Iterator[str]:
    """Yield the files in a folder of packages that run at every start of Python."""
    allowed = known()["pth"]
    for path in sorted(packages.glob("*.pth")):
        if allowed.get(path.name) != hashlib.sha256(path.read_bytes()).hexdigest():
            yield f"{path.name} runs at every start of Python, and is not known"
    for name in ("sitecustomize", "usercustomize"):
        for path in sorted(packages.glob(f"{name}*")):
            yield f"{path.name} runs at every start of Python"


def faults_here() -> Iterator[str]:
    """Yield everything that is wrong and can be seen without a network."""
    for name in LOCKS:
        yield from faults_in_lock(name, pins_of(ROOT / name))
    installed: dict[str, str] = {
        canonicalize_name(one.metadata["Name"]): one.version for one in distributions()
    }
    yield from faults_in_installed(installed, for_here(pins_of(ROOT / INSTALLED_LOCK)))
    yield from faults_in_folder(Path(sysconfig.get_path("purelib")))


def holes_told_by(report: str) -> tuple[list[str], int, int]:
    """Return the holes in a report of pip-audit, how many packages were looked up, and how many could not be."""
    packages = json.loads(report)["dependencies"]
    holes = [
        f"{one['name']} {one['version']}: {hole['id']}, fixed in {', '.join(hole['fix_versions']) or 'no version'}"
        for one in packages
        for hole in one.get("vulns", ())
    ]
    skipped = sum("skip_reason" in one for one in packages)
    return holes, len(packages) - skipped, skipped


def ask_database(lock: str) -> tuple[list[str], int, int] | None:
    """Return the findings of pip-audit for a lock; None if its database cannot be reached."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--requirement",
        str(ROOT / lock),
        "--format",
        "json",
    ]
    options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    try:
        asked = subprocess.run(
            [*command, *options],
            capture_output=True,
            text=True,
            timeout=_ASKING_SECONDS,
            check=False,
        )
        holes, looked_up, skipped = holes_told_by(asked.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    # A mirror of the index that keeps no list of holes answers that it knows none of the packages.
    return (holes, looked_up, skipped) if looked_up else None


def main() -> int:
    """Print the findings; return 1 if there are any."""
    faults = list(faults_here())
    print(f"Seen here: {len(faults)} faults in {len(LOCKS)} locks and in what is installed.")
    for lock in LOCKS:
        answer = ask_database(lock)
        if answer is None:
            print(
                f"{lock}: no database of holes can be reached; what is listed in known.toml decides."
            )
            continue
        holes, looked_up, skipped = answer
        print(f"{lock}: {len(holes)} holes known in {looked_up} packages, {skipped} not looked up.")
        faults += holes
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
