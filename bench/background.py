"""Measures the cost of background answers: the time to the first token, the writes to a store, and the readers.

    python -m bench.background

The first token is compared with that of a foreground stream of the same service, whose log is a file that is synced. Writes
and readers are measured at a MongoDB of their own, without an outbox: one process makes the answers, another one has the
readers. Exits with 1 when a figure is worse than promised; writes `bench/BACKGROUND.md` at its full length only.
"""

import argparse
import asyncio
import http.client
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pymongo
from tqdm import tqdm

from bench.harness import processes
from bench.harness.load import closed_loop, get, open_loop, post, quantile
from bench.harness.processes import Service, Watched
from bench.harness.report import Row, as_table, machine

RESULTS = Path(__file__).parent / "BACKGROUND.md"
_QUESTION = "Explain event loops in one sentence."
_PER_SECOND = 10.0
_MOST_ADDED_SECONDS = 0.002
_MOST_WRITES = 10.0
_MOST_RATIO = 1.2
_ANSWERS = 10
_READERS = 100


def body(manner: str, **more: object) -> bytes:
    """Return a request for an answer that the mock provider gives in this manner."""
    return orjson.dumps({"userId": "ana", "userPrompt": f"{_QUESTION} {manner}", **more})


async def first_words(
    upstream: Watched, *, rounds: int, seconds: float
) -> tuple[float, float, int]:
    """Return the median time to the first token in the foreground and in the background, and the number of streams."""
    manner = "mock(latency=0.05,gap=0.005)"
    taken: dict[bool, list[float]] = {False: [], True: []}
    with processes.service(upstream) as service:
        for number in tqdm(range(rounds + 1), desc="first tokens", file=sys.stderr):
            for is_background in (False, True):
                request = post(
                    "/v1/chat",
                    body(manner, stream=True, background=is_background),
                    key=service.key,
                )
                outcome = await open_loop(
                    service.process.port, request, per_second=_PER_SECOND, seconds=seconds
                )
                if outcome.errors:
                    raise RuntimeError(f"{outcome.statuses}")
                if number:  # the first round warms up
                    taken[is_background].extend(outcome.first_tokens_seconds)
    return quantile(taken[False], 0.5), quantile(taken[True], 0.5), len(taken[True])


def begin(service: Service, manner: str) -> str:
    """Begin a background answer and return its id."""
    status, answer = _call(service, "POST", "/v1/chat", body(manner, background=True))
    if status != 202:
        raise RuntimeError(f"{status}: {answer}")
    return str(answer["id"])


def wait_until_complete(service: Service, interaction_id: str) -> None:
    """Wait until an answer has its outcome."""
    while True:
        status, found = _call(service, "GET", f"/v1/history/ana/{interaction_id}")
        if status == 200 and found["status"] != "in_progress":
            if found["status"] != "completed":
                raise RuntimeError(f"{found}")
            return
        time.sleep(0.1)


def writes_a_second(database: Any, service: Service, *, chunks: int) -> tuple[float, float]:
    """Return the chunks of a log that were written a second, and all write operations of the store, each of one answer."""
    operations = _write_operations(database)
    started = time.monotonic()
    ids = [begin(service, f"mock(chunks={chunks},gap=0.01)") for _ in range(_ANSWERS)]
    for interaction_id in ids:
        wait_until_complete(service, interaction_id)
    seconds = time.monotonic() - started
    operations = _write_operations(database) - operations
    written = database.answer_records.count_documents({"_id.i": {"$in": ids}})
    return written / _ANSWERS / seconds, operations / _ANSWERS / seconds


async def cpu_with_readers(
    writer: Service, other: Service, readers: int, *, chunks: int
) -> tuple[float, float]:
    """Return the CPU time of the writing and of the reading process for one answer."""
    before = writer.process.cpu_seconds(), other.process.cpu_seconds()
    interaction_id = begin(writer, f"mock(chunks={chunks},gap=0.02)")
    request = get(f"/v1/history/ana/{interaction_id}/events", key=other.key)
    outcome = await closed_loop(other.process.port, request, connections=readers, seconds=0.0)
    if outcome.answered != readers:
        raise RuntimeError(f"{outcome.statuses}")
    wait_until_complete(writer, interaction_id)
    return (
        writer.process.cpu_seconds() - before[0],
        other.process.cpu_seconds() - before[1],
    )


async def measure(*, rounds: int, seconds: float, chunks: int) -> tuple[list[Row], bool]:
    """Start the servers, measure, and return the rows and whether all targets were met."""
    from tests.support.mongod import Mongod

    with ExitStack() as stack:
        upstream = stack.enter_context(processes.provider())
        foreground, background, streams = await first_words(
            upstream, rounds=rounds, seconds=seconds
        )
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-mongod-"))
        mongod = Mongod(Path(folder))
        mongod.start()
        stack.callback(mongod.stop)
        settings = {"MONGO_URI": mongod.uri, "MONGO_DB": "bench", "OUTBOX_ENABLED": "false"}
        writer = stack.enter_context(processes.service(upstream, **settings))
        other = stack.enter_context(processes.service(upstream, **settings))
        client = stack.enter_context(pymongo.MongoClient[dict[str, Any]](mongod.uri))
        begin(writer, "mock(chunks=5,gap=0.01)")  # makes the indexes
        written, operations = writes_a_second(client.bench, writer, chunks=chunks)
        cpu: dict[int, list[tuple[float, float]]] = {1: [], _READERS: []}
        for _ in tqdm(range(rounds), desc="readers", file=sys.stderr):
            for readers, taken in cpu.items():
                taken.append(await cpu_with_readers(writer, other, readers, chunks=chunks))
    of_writer = {
        readers: quantile([each[0] for each in taken], 0.5) for readers, taken in cpu.items()
    }
    of_readers = {
        readers: quantile([each[1] for each in taken], 0.5) for readers, taken in cpu.items()
    }
    added, ratio = background - foreground, of_writer[_READERS] / of_writer[1]
    rows = [
        Row("first token of a foreground stream, p50, ms", f"{foreground * 1000:.2f}"),
        Row("first token of a background stream, p50, ms", f"{background * 1000:.2f}"),
        Row("added, ms", f"{added * 1000:.2f}", f"at most {_MOST_ADDED_SECONDS * 1000:.0f}"),
        Row("streams of each kind", str(streams)),
        Row(
            "appends to a log in MongoDB, a second", f"{written:.1f}", f"at most {_MOST_WRITES:.0f}"
        ),
        Row("all writes to MongoDB, a second an answer", f"{operations:.1f}"),
        Row("writer's CPU with 1 reader in another process, s", f"{of_writer[1]:.3f}"),
        Row(
            f"writer's CPU with {_READERS} readers in another process, s",
            f"{of_writer[_READERS]:.3f}",
        ),
        Row("ratio", f"{ratio:.2f}", f"at most {_MOST_RATIO}"),
        Row("CPU of the process with 1 reader, s", f"{of_readers[1]:.3f}"),
        Row(f"CPU of the process with {_READERS} readers, s", f"{of_readers[_READERS]:.3f}"),
    ]
    is_kept = added <= _MOST_ADDED_SECONDS and written <= _MOST_WRITES and ratio <= _MOST_RATIO
    return rows, is_kept


def _write_operations(database: Any) -> int:
    counts = database.client.admin.command("serverStatus")["opcounters"]
    return int(counts["insert"] + counts["update"] + counts["delete"])


def _call(service: Service, method: str, path: str, content: bytes = b"") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", service.process.port, timeout=30)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {service.key}"}
    connection.request(method, path, content, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, orjson.loads(text)


def write_results(rows: Sequence[Row], loads: tuple[float, float]) -> None:
    """Write `BACKGROUND.md`."""
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    RESULTS.write_text(
        f"""# Cost of background answers

Generated by `python -m bench.background`. {moment}, on {machine()}, load average {loads[0]:.1f} at the start and {loads[1]:.1f} at the end.

{as_table(rows)}
""",
        encoding="utf-8",
    )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each kind (5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of streams in one turn (4)")
    parser.add_argument("--chunks", type=int, default=400, help="events of a long answer (400)")
    parser.add_argument("--quick", action="store_true", help="a short run, which writes nothing")
    arguments = parser.parse_args()
    rounds, seconds, chunks = arguments.rounds, arguments.seconds, arguments.chunks
    if arguments.quick:
        rounds, seconds, chunks = 1, 1.0, 100
    load = os.getloadavg()[0]
    rows, is_kept = asyncio.run(measure(rounds=rounds, seconds=seconds, chunks=chunks))
    print(as_table(rows))
    if not arguments.quick:
        write_results(rows, (load, os.getloadavg()[0]))
    sys.exit(0 if is_kept else 1)


if __name__ == "__main__":
    main()
