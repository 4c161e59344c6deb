"""A real nginx before the service."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_START_SECONDS = 120.0
_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location {location} {{
            proxy_pass http://127.0.0.1:{behind}{target};
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            {more}
        }}
    }}
}}
"""


@contextmanager
def nginx_before(
    behind: int, folder: Path, *, keeps_prefix: bool, prefix: str = "/ai", more: str = ""
) -> Iterator[str]:
    """An nginx that shows a service under `prefix` until the block ends; gives its URL without the prefix.

    Args:
        behind: The port of the service.
        folder: Where it may write.
        keeps_prefix: Hand the path on as it is, instead of taking the prefix off.
        prefix: The path it shows the service under.
        more: Further lines of its configuration.
    """
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("no nginx is installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = folder / "nginx.conf"
    file.write_text(
        _CONFIGURATION.format(
            folder=folder,
            port=port,
            behind=behind,
            # As most write it: with both slashes the prefix is taken off, and `/ai` is sent to `/ai/`.
            location=prefix if keeps_prefix else f"{prefix}/",
            target="" if keeps_prefix else "/",
            more=more,
        )
    )
    log = folder / "nginx.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "-e", "stderr", "-c", str(file), "-p", str(folder)],
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_listening(process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(120)


def _wait_until_listening(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        else:
            return
