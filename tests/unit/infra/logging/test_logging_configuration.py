"""Everything a process writes is one JSON object a line, whoever wrote it: seen from outside, in a real process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
START = """
import asyncio, gc, logging, sys, threading, warnings
from infra.logging.configuration import configure_logging
from infra.logging.unhandled import log_unhandled_in
def start(level="info", **options):
    configure_logging(level, service_name="rt-genai", version="1", environment="test", **options)
"""


def said_by(program: str, **environment: str) -> tuple[str, str]:
    """Run a program in a process of its own; return what it wrote to stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", START + program],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.stdout.decode(), done.stderr.decode()


def lines_of(program: str, **environment: str) -> list[dict[str, Any]]:
    out, err = said_by(program, **environment)
    assert err == ""
    return [json.loads(line) for line in out.splitlines()]


def test_all_loggers_write_through_one_door() -> None:
    lines = lines_of(
        """
before = logging.getLogger("uvicorn.error")
before.addHandler(logging.StreamHandler()); before.propagate = False
start()
for name in ("app.access", "uvicorn.error", "aiohttp.client", "asyncio", "pymongo.topology"):
    logging.getLogger(name).warning("from %s", name)
logging.getLogger("uvicorn.access").info("twice")
"""
    )
    assert [line["log"]["logger"] for line in lines] == [
        "app.access",
        "uvicorn.error",
        "aiohttp.client",
        "asyncio",
        "pymongo.topology",
    ]


def test_debug_is_for_our_own_loggers() -> None:
    lines = lines_of(
        """
start("debug")
logging.getLogger("infra.llm.providers.gemini.client").debug("ours")
logging.getLogger("pymongo.command").debug("a whole prompt")
"""
    )
    assert [line["message"] for line in lines] == ["ours"]


def test_a_level_keeps_lower_ones_out() -> None:
    lines = lines_of('start("error"); logging.getLogger("app").warning("x"); logging.error("y")')
    assert [line["message"] for line in lines] == ["y"]


def test_configuring_twice_does_not_write_twice() -> None:
    assert len(lines_of('start(); start(); logging.info("once")')) == 1


def test_warnings_are_lines() -> None:
    (line,) = lines_of('start(); warnings.warn("old\\nways", stacklevel=1)')
    assert line["log"] == {"level": "warning", "logger": "py.warnings"}


def test_what_ends_the_process_is_a_line() -> None:
    (line,) = lines_of('start(); word = "pri" + "vate"; int(word)')
    assert line["log"]["level"] == "critical"
    assert line["error"]["type"] == "ValueError"
    assert "private" not in json.dumps(line)


def test_an_interrupt_is_a_line_without_a_stack() -> None:
    (line,) = lines_of("start(); raise KeyboardInterrupt")
    assert line["message"] == "interrupted"
    assert "error" not in line


def test_what_ends_a_thread_is_a_line() -> None:
    (line,) = lines_of("start(); threading.Thread(target=lambda: 1 / 0, name='writer').start()")
    assert line["message"] == "unhandled exception in thread writer"
    assert line["error"]["type"] == "ZeroDivisionError"


def test_what_fails_in_a_finaliser_is_a_line() -> None:
    (line,) = lines_of(
        """
start()
class Fragile:
    def __del__(self): 1 / 0
Fragile(); gc.collect()
"""
    )
    assert line["error"]["type"] == "ZeroDivisionError"


def test_a_task_nobody_awaits_is_a_line_without_its_message() -> None:
    (line,) = lines_of(
        """
start()
async def main():
    log_unhandled_in(asyncio.get_running_loop())
    word = "pri" + "vate"
    async def failing(): raise ValueError(word)
    task = asyncio.create_task(failing(), name="keep 1")
    await asyncio.wait([task]); del task; gc.collect()
asyncio.run(main())
"""
    )
    assert line["message"] == "Task exception was never retrieved (keep 1)"
    assert line["error"]["type"] == "ValueError"
    assert "private" not in json.dumps(line)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_the_locale_does_not_matter(encoding: str) -> None:
    (line,) = lines_of('start(); logging.info("ação 例 😀")', PYTHONIOENCODING=encoding)
    assert line["message"] == "ação 例 😀"


def test_a_reader_who_left_does_not_matter() -> None:
    out, err = said_by(
        """
import os, tempfile
reading, writing = os.pipe(); os.close(reading)
start(stream=os.fdopen(writing, "wb", buffering=0))
logging.info("nobody hears this")
print("still alive")
"""
    )
    assert out == "still alive\n"
    assert err == ""


def test_pretty_lines_are_short_and_harmless() -> None:
    out, _ = said_by(
        """
start(log_format="pretty")
fields = {"http": {"request": {"method": "POST", "id": "r1"}, "response": {"status_code": 200}},
          "url": {"path": "/v1/chat"}, "event": {"duration": 812_000_000}, "user": {"hash": "abc"}}
logging.getLogger("app.access").info("chat completed", extra={"ecs": fields})
logging.info('say "hi" \\x1b[31m in C:\\\\tmp password=hunter2')
try: 1 / 0
except ZeroDivisionError: logging.exception("failed")
"""
    )
    first, second, *rest = out.splitlines()
    assert first[12:] == " info     chat completed  POST /v1/chat 200 took=812.0ms id=r1"
    assert second.endswith(' say "hi" \\u001b[31m in C:\\tmp password=[redacted]')
    assert rest[-1] == "ZeroDivisionError"
    assert "hash" not in out


def test_what_requests_say_in_one_turn_of_the_loop_is_one_write_and_nothing_else_waits() -> None:
    out, err = said_by(
        """
class Counted:
    writes = []
    def write(self, data): self.writes.append(data.count(b"\\n")); sys.stdout.buffer.write(data)
    def flush(self): sys.stdout.buffer.flush()
start(stream=Counted())
log = logging.getLogger("app.access")
async def work():
    for turn in range(2):
        for number in range(3):
            log.info("%d of turn %d", number, turn)
        await asyncio.sleep(0)
    log.info("before")
    logging.getLogger("app.server").info("now")
    assert Counted.writes == [3, 3, 2], Counted.writes
    thread = threading.Thread(target=log.info, args=("from a thread",))
    log.info("before the thread")
    thread.start(); thread.join()
    assert Counted.writes[3:] == [2], Counted.writes
    log.info("as the last word")
asyncio.run(work())
assert sum(Counted.writes) == 11, Counted.writes
log.info("after the loop")
"""
    )
    assert err == ""
    assert [json.loads(line)["message"] for line in out.splitlines()] == [
        *(f"{number} of turn {turn}" for turn in range(2) for number in range(3)),
        "before",
        "now",
        "before the thread",
        "from a thread",
        "as the last word",
        "after the loop",
    ]


def test_what_was_said_as_the_loop_ended_is_written_at_the_end_of_the_process() -> None:
    lines = lines_of(
        """
start()
loop = asyncio.new_event_loop()
async def work():
    logging.getLogger("app.access").info("the last word")
    loop.stop()
loop.create_task(work())
loop.run_forever()
loop.close()
"""
    )
    assert [line["message"] for line in lines] == ["the last word"]
