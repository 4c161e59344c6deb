"""The processes under measurement, started and watched from outside through /proc."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_ROOT = Path(__file__).parents[2]
_START_SECONDS = 120.0
ANY_USER_KEY = "bench"


@dataclass(frozen=True, slots=True)
class Watched:
    """A process, its port, and the time until its first answer."""

    pid: int
    port: int
    seconds_to_answer: float
    cpu_seconds_to_answer: float

    def cpu_seconds(self) -> float:
        """Return the CPU time used so far by all threads, including kernel time."""
        return cpu_seconds(self.pid)

    def resident_bytes(self) -> int:
        """Return its current memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES

    def open_files(self) -> int:
        """Return the number of its file descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - names alone are wanted

    def threads(self) -> int:
        """Return the number of its threads."""
        return len(os.listdir(f"/proc/{self.pid}/task"))  # noqa: PTH208 - names alone are wanted


def free_port() -> int:
    """Return an unused port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def provider() -> Iterator[Watched]:
    """Run the mock provider."""
    yield from _run([sys.executable, "-m", "bench.servers.provider", "--port"], {}, "/")


@contextmanager
def passthrough(upstream: Watched) -> Iterator[Watched]:
    """Run the baseline."""
    address = f"http://127.0.0.1:{upstream.port}"
    command = [sys.executable, "-m", "bench.servers.passthrough", "--upstream", address, "--port"]
    yield from _run(command, {}, "/")


@dataclass(frozen=True, slots=True)
class Service:
    """A service under measurement, and an API key for its callers."""

    process: Watched
    key: str
    folder: Path


@contextmanager
def service(
    upstream: Watched,
    root: Path = _ROOT,
    program: Sequence[str] = ("main.py", "serve"),
    /,
    **settings: str,
) -> Iterator[Service]:
    """Run the service with its defaults: durable history in SQLite, limits, metrics and logs.

    Callers have keys, because without them there are no limits to pay for; the limits are too high to be met.

    Args:
        upstream: The mock provider.
        root: The checkout whose service is run.
        program: Runs the service, with Python.
        settings: Further settings.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        environment = {
            "DATA_DIR": folder,
            "AUTHENTICATION": "api_keys",
            "CALLER_REQUESTS_PER_MINUTE": "100000000",
            "CALLER_CONCURRENT_REQUESTS": "100000",
            "GEMINI_API_KEY": "mock",
            "GEMINI_BASE_URL": f"http://127.0.0.1:{upstream.port}",
            **settings,
        }
        made = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "main.py", "keys", "create", "--name", ANY_USER_KEY],
            cwd=root,
            env={**_clean_environment(), **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        key = made.stdout.split()[-1]
        with open(Path(folder) / "log.jsonl", "wb") as log:  # noqa: PTH123 - handed to the process
            command = [sys.executable, *program]
            for process in _run(command, environment, "/health/ready", log=log, root=root):
                yield Service(process, key, Path(folder))


@contextmanager
def litellm(program: str, upstream: Watched, *, model: str) -> Iterator[Service]:
    """Run a LiteLLM proxy with one worker, a key and no database that calls the mock provider in OpenAI's format."""
    parameters = {
        "model": f"openai/{model}",
        "api_base": f"http://127.0.0.1:{upstream.port}/v1",
        "api_key": "mock",
    }
    configuration = {
        "model_list": [{"model_name": model, "litellm_params": parameters}],
        "litellm_settings": {"telemetry": False},
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "litellm.yaml"
        file.write_text(json.dumps(configuration))  # JSON is YAML
        command = [program, "--config", str(file), "--num_workers", "1", "--host", "127.0.0.1"]
        key = f"sk-{secrets.token_hex(32)}"
        environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
        for process in _run([*command, "--port"], environment, "/health/liveliness"):
            yield Service(process, key, Path(folder))


def _run(
    command: list[str],
    environment: Mapping[str, str],
    path: str,
    *,
    log: object = None,
    root: Path = _ROOT,
) -> Iterator[Watched]:
    port = free_port()
    if command[-1] == "--port":
        command = [*command, str(port)]
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own programs
        command,
        cwd=root,
        env={**_clean_environment(), "PORT": str(port), **environment},
        stdout=log or subprocess.DEVNULL,  # type: ignore[call-overload]
    )
    try:
        _wait_for_answer(process, port, path)
        seconds = time.perf_counter() - started
        yield Watched(process.pid, port, seconds, cpu_seconds(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_answer(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(request)
                if connection.recv(16).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.01)
    raise RuntimeError(f"{process.args!r} does not answer")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time used so far by all threads of a process, including kernel time."""
    # schedstat counts nanoseconds, where utime and stime count hundredths of a second
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _clean_environment() -> dict[str, str]:
    """Return the environment without settings of the service."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    return {name: os.environ[name] for name in kept if name in os.environ}
