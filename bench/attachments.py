"""Sends images of 20 MiB one after the other, and measures the memory of the service.

    python -m bench.attachments

Each image is another one, so each is decoded, stored and sent to the provider. Exits with 1 when the memory after the last
image is more than a tenth above that after the fourth; writes `bench/ATTACHMENTS.md` at its full length only.
"""

import argparse
import base64
import http.client
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from bench.harness import processes
from bench.harness.report import Row, as_table, machine

RESULTS = Path(__file__).parent / "ATTACHMENTS.md"
_IMAGES = 16
_SETTLED_AFTER = 4
_MOST_GROWTH = 0.10
_MIB = 2**20
_IMAGE_BYTES = 20 * _MIB
_PNG = b"\x89PNG\r\n\x1a\n"


def send(service: processes.Service, number: int) -> None:
    """Send one image and wait for the answer."""
    image = _PNG + number.to_bytes(8) + os.urandom(_IMAGE_BYTES - len(_PNG) - 8)
    body = b"".join(
        [
            b'{"userId":"ana","userPrompt":"What is it?","attachments":[{"mediaType":"image/png","data":"',
            base64.b64encode(image),
            b'"}]}',
        ]
    )
    connection = http.client.HTTPConnection("127.0.0.1", service.process.port, timeout=120)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {service.key}"}
    connection.request("POST", "/v1/chat", body, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {text[:500]!r}")


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has occupied."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def run(images: int) -> bool:
    """Send so many images and report; return whether the memory stayed flat."""
    load = os.getloadavg()[0]
    with processes.provider() as upstream, processes.service(upstream) as service:
        resident_mib = [service.process.resident_bytes() / _MIB]
        for number in tqdm(range(images), desc="images", file=sys.stderr):
            send(service, number)
            resident_mib.append(service.process.resident_bytes() / _MIB)
        peak_mib = peak_bytes(service.process.pid) / _MIB
    settled_mib, last_mib = resident_mib[min(_SETTLED_AFTER, images)], resident_mib[-1]
    growth = last_mib / settled_mib - 1
    rows = [
        Row("images of 20 MiB, one after the other", str(images)),
        Row("RSS before the first, MiB", f"{resident_mib[0]:.0f}"),
        Row(f"RSS after {_SETTLED_AFTER}, MiB", f"{settled_mib:.0f}"),
        Row(
            f"RSS after {images}, MiB",
            f"{last_mib:.0f}",
            f"{growth:+.1%}, at most {_MOST_GROWTH:+.0%}",
        ),
        Row("highest RSS, MiB", f"{peak_mib:.0f}"),
    ]
    print(as_table(rows))
    if images >= _IMAGES:
        _write(rows, resident_mib, load)
    return growth <= _MOST_GROWTH


def _write(rows: list[Row], resident_mib: Sequence[float], load: float) -> None:
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    each = ", ".join(f"{mib:.0f}" for mib in resident_mib[1:])
    RESULTS.write_text(
        f"""# Memory of attachments

Written by `python -m bench.attachments`; nothing here is typed by hand. {moment}, on {machine()}, load average {load:.1f} at the start.

{as_table(rows)}

RSS after each image, in MiB: {each}.
"""
    )


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.attachments", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--images", type=int, default=_IMAGES, help=f"how many ({_IMAGES})")
    return 0 if run(parser.parse_args().images) else 1


if __name__ == "__main__":
    sys.exit(main())
