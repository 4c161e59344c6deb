"""DynamoDB and SQS for the tests: an emulator's process on loopback, which keeps everything in memory."""

import atexit
import functools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from infra.storage.aws.access import AwsAccess
from tests.support.service import plain_client

START_SECONDS = 120.0


class AwsEmulator:
    """One process. An outage is a pause: what it holds would not survive its end."""

    def __init__(self) -> None:
        # bound here and handed down, so that nobody else can take the port in between
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(512)
            self.port: int = listener.getsockname()[1]
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "hypercorn", "ministack.app:app"),
                    *(
                        "--bind",
                        f"fd://{listener.fileno()}",
                        "--workers",
                        "0",
                        "--log-level",
                        "error",
                    ),
                ],
                pass_fds=[listener.fileno()],
                env={
                    "PATH": os.environ["PATH"],
                    "GATEWAY_PORT": str(self.port),
                    "LOG_LEVEL": "ERROR",
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._wait_until_answering()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def access(self) -> AwsAccess:
        return AwsAccess(endpoint_url=self.url, is_emulator=True)

    def queue_url(self, name: str) -> str:
        """Return the URL of a queue of that name, whether there is one or not."""
        return f"{self.url}/000000000000/{name}"

    def pause(self) -> None:
        """Let it answer nobody, with its connections open."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self._process.kill()
        self._process.wait(120)

    def _wait_until_answering(self) -> None:
        # The port listens already, so one request waits for the whole start.
        with plain_client(self.url, timeout=START_SECONDS) as client:
            try:
                client.get("/_localstack/health")
            except httpx2.HTTPError as exc:
                self.end()
                raise RuntimeError("the AWS emulator does not start") from exc


@functools.cache
def shared_emulator() -> AwsEmulator:
    """Return an emulator that all tests share, ended with them: each uses names of its own."""
    return _ended_with_the_tests()


@contextmanager
def pausable_emulator() -> Iterator[AwsEmulator]:
    """Another one, for one test at a time, that may be paused without holding up those who share the other."""
    emulator = _pausable()
    try:
        yield emulator
    finally:
        emulator.resume()


@functools.cache
def _pausable() -> AwsEmulator:
    return _ended_with_the_tests()


def _ended_with_the_tests() -> AwsEmulator:
    emulator = AwsEmulator()
    atexit.register(emulator.end)
    return emulator
