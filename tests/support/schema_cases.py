"""Requests generated from the OpenAPI schema."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.http.access import make_key
from tests.support.service import Service

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


UNLIMITED = {
    "CALLER_REQUESTS_PER_MINUTE": "1000000000",
    "CALLER_CONCURRENT_REQUESTS": "1000",
}


def cases(service: Service, folder: Path, *options: str) -> int:
    """Check the running service and return how many requests were made up; any failure is told in full."""
    command: Sequence[str] = [
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", str(CONFIGURATION)),
        *("run", f"{service.url}/openapi.json"),
        *("--checks", "all", "--continue-on-failure", "--no-color", *options),
    ]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, _shortened(ran.stdout) + ran.stderr[-2000:]
    found = re.search(r"(\d+) generated, (\d+) passed", ran.stdout)
    assert found, ran.stdout[-2000:]
    assert found[1] == found[2]
    assert service.process.poll() is None
    return int(found[1])


def _shortened(output: str) -> str:
    """Return the output with its long lines cut, which are generated addresses and bodies."""
    return "\n".join(line[:400] for line in output.splitlines())[-20_000:]


def authorised(data_dir: Path, *, user: str | None = None) -> tuple[dict[str, str], list[str]]:
    """Return the settings of a service that asks for keys, and the options that show one."""
    _, key = make_key(data_dir, user=user)
    return {"AUTHENTICATION": "api_keys", **UNLIMITED}, ["-H", f"Authorization: Bearer {key}"]
