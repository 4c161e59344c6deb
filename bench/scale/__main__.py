"""Measures history as it grows: pages, filters, search, statistics and export, at ten thousand to ten million.

    python -m bench.scale                                  # SQLite, 10 000 to 1 000 000
    python -m bench.scale --sizes 10000,10000000
    python -m bench.scale --store mongodb --sizes 10000,1000000 --mongo-uri mongodb://…

Each size is a store of its own, filled through the product's own bulk path (batches, durable, read back), served by the
product's own process, and asked over HTTP. The cost of a request is the CPU time of that process, all threads, for the
whole request. Writes bench/results/scale-<store>.json and .png, and bench/SCALE.md from all of them.
"""

import argparse
import asyncio
import http.client
import json
import os
import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pydantic import SecretStr
from tqdm import tqdm

from bench.harness.command_cost import cost_of
from bench.harness.processes import Watched, service
from bench.scale.data import (
    COMMON_WORD,
    LARGE_USER,
    MEASURED_ROWS,
    MEASURED_USER,
    RARE_PROVIDER,
    RARE_WORD,
    MadeUpHistory,
)
from bench.scale.report import write_report
from domain.entities.history_query import HistoryQuery
from domain.use_cases.copy_history import CopyHistory
from infra.clock import SystemClock
from infra.history.transfer.checkpoint_file import CheckpointFile
from infra.history.transfer.store_source import digest_of
from infra.security.cursors import SignedCursors
from infra.settings import Settings
from infra.stores.mongodb import MONGODB
from infra.stores.registry import store_named
from infra.stores.sqlite import SQLITE

CURSOR_SECRET = "a-secret-for-cursors-of-the-bench"  # noqa: S105 - of the bench alone
RESULTS = Path(__file__).parents[1] / "results"
REQUESTS = 200
_NOWHERE = Watched(os.getpid(), 1, 0.0, 0.0)
"""An unused URL: this benchmark has no chats."""


@dataclass(frozen=True, slots=True)
class Store:
    """Settings of a store of one size."""

    kind: str
    folder: Path
    environment: dict[str, str]

    def settings(self) -> Settings:
        """Return the settings of this benchmark."""
        uri = self.environment.get("MONGO_URI")
        return Settings(
            _env_file=None,
            data_dir=self.folder,
            mongo_uri=None if uri is None else SecretStr(uri),
            mongo_db=self.environment.get("MONGO_DB", "unused"),
        )


async def fill(store: Store, history: MadeUpHistory) -> dict[str, float]:
    """Fill an empty store and return the cost."""
    kept = store.folder / "fill.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    started, cpu = time.perf_counter(), time.process_time()
    clock = SystemClock()
    state = CheckpointFile(store.folder, f"made up {history.count}", store.kind)
    with tqdm(total=history.count, unit="row", unit_scale=True, desc="fill", disable=None) as bar:
        async with store_named(store.kind).open_archive(store.settings(), clock) as opened:
            copy = CopyHistory(history, opened.archive, state, digest_of, clock)

            def progress(done: int, _whole: int) -> None:
                bar.update(done - bar.n)

            copied = await copy(progress)
    assert copied.is_complete, copied
    assert copied.target.count == history.count
    costs = {
        "fill_wall_us": (time.perf_counter() - started) / history.count * 1e6,
        "fill_cpu_us": (time.process_time() - cpu) / history.count * 1e6,
    }
    kept.write_text(json.dumps(costs))
    return costs


def questions(history: MadeUpHistory) -> dict[str, tuple[str, dict[str, str]]]:
    """Return path and query of each request, by name."""
    page = f"/v1/history/{MEASURED_USER}"
    large = f"/v1/history/{LARGE_USER}"
    everything = {"limit": "20"}
    asked = {
        "first page": (page, everything),
        "last page": (page, everything | {"cursor": _cursor(history, MEASURED_USER)}),
        "filter: status": (page, everything | {"status": "failed"}),
        "filter: model": (page, everything | {"model": "small"}),
        "filter: conversation": (page, everything | {"conversationId": "c-500"}),
        "filter: rare provider": (page, everything | {"provider": RARE_PROVIDER}),
        "filter: unknown provider": (page, everything | {"provider": "unknown"}),
        "conversations": (f"{page}/conversations", everything),
        "search: common word": (page, everything | {"q": COMMON_WORD}),
        "search: rare word": (page, everything | {"q": RARE_WORD}),
        "search: two words": (page, everything | {"q": f"{COMMON_WORD} {RARE_WORD}"}),
        "stats by day": (f"{page}/stats", {"by": "day"}),
        "stats by model": (f"{page}/stats", {"by": "model"}),
        "export of the user": (f"{page}/export", {"format": "jsonl"}),
    }
    if history.count > MEASURED_ROWS:
        asked["large user: first page"] = (large, everything)
        asked["large user: last page"] = (
            large,
            everything | {"cursor": _cursor(history, LARGE_USER)},
        )
        asked["large user: stats by day"] = (f"{large}/stats", {"by": "day"})
        asked["large user: search"] = (large, everything | {"q": RARE_WORD})
    return asked


def _cursor(history: MadeUpHistory, user_id: str) -> str:
    """Return the cursor of the user's last page of 20, newest first."""
    oldest = (number for number in range(history.count) if history.user_of(number) == user_id)
    kept = [next(oldest) for _ in range(22)]
    # some have no answer and are not listed, so the page may be a little shorter
    return SignedCursors(CURSOR_SECRET.encode()).encode(
        HistoryQuery(user_id=user_id), history.id_of(kept[21])
    )


def ask(store: Store, history: MadeUpHistory) -> dict[str, Any]:
    """Serve the store, send each request, and return CPU milliseconds of each, and memory."""
    costs: dict[str, float] = {}
    walls: dict[str, float] = {}
    with service(
        _NOWHERE, **store.environment, DATA_DIR=str(store.folder), CURSOR_SECRET=CURSOR_SECRET
    ) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.process.port, timeout=600)
        headers = {"Authorization": f"Bearer {served.key}"}

        def get(path: str, query: dict[str, str]) -> tuple[int, bytes]:
            connection.request("GET", f"{path}?{urlencode(query)}", headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

        at_start_bytes = served.process.resident_bytes()
        for name, (path, query) in tqdm(questions(history).items(), desc="ask", disable=None):
            status, body = get(path, query)
            if status in (404, 422):
                continue  # this version cannot be asked that
            if status != 200:
                print(f"{name}: {status} {body!r}", flush=True)
                continue
            times = 5 if path.endswith(("export", "stats")) else REQUESTS
            for _ in range(max(times // 10, 1)):
                get(path, query)
            started, cpu = time.perf_counter(), served.process.cpu_seconds()
            for _ in range(times):
                get(path, query)
            costs[name] = (served.process.cpu_seconds() - cpu) / times * 1000
            walls[name] = (time.perf_counter() - started) / times * 1000
        connection.close()
        memory = served.process.resident_bytes()
    return {"cpu_ms": costs, "wall_ms": walls, "rss_start": at_start_bytes, "rss_end": memory}


def export(store: Store, history: MadeUpHistory) -> dict[str, float]:
    """Export the whole store by the command, and return the cost."""
    file = store.folder / "export.jsonl"
    cost = cost_of(["export", str(file)], {**store.environment, "DATA_DIR": str(store.folder)})
    size = file.stat().st_size
    file.unlink()
    return {
        "export_cpu_us": cost.cpu_seconds / history.count * 1e6,
        "export_wall_us": cost.wall_seconds / history.count * 1e6,
        "export_peak_rss": cost.peak_bytes,
        "export_bytes": size,
    }


def merged(before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
    """Return the minimum of each measurement, since other load on the machine only adds to it."""
    return now | {name: min(value, now.get(name, value)) for name, value in before.items()}


def measure(stores: dict[int, Store], parsed: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure stores of some sizes; they are deleted afterwards unless they are to be kept.

    All are filled first and then measured alternately, so that they are compared under the same conditions.
    """
    found: dict[int, dict[str, Any]] = {}
    for count, store in stores.items():
        store.folder.mkdir(parents=True, exist_ok=True)
        found[count] = {"count": count, **asyncio.run(fill(store, MadeUpHistory(count)))}
        file = store.folder / "history.db"
        found[count]["store_bytes"] = file.stat().st_size if file.exists() else None
    for number in range(parsed.rounds):
        for count, store in stores.items():
            asked = ask(store, MadeUpHistory(count))
            for figures in ("cpu_ms", "wall_ms"):
                asked[figures] = merged(found[count].get(figures, {}), asked[figures])
            found[count] |= asked
            print(json.dumps({"round": number, **found[count]}), flush=True)
    for count, store in stores.items():
        if not parsed.no_export:
            found[count] |= export(store, MadeUpHistory(count))
            print(json.dumps(found[count]), flush=True)
        if not parsed.keep:
            shutil.rmtree(store.folder)
    return list(found.values())


def main() -> None:
    """Run the measurements named on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument(
        "--store",
        choices=[SQLITE.name, MONGODB.name],
        default=SQLITE.name,
    )
    parser.add_argument(
        "--sizes", default="10000,100000,1000000", help="how many interactions, by commas"
    )
    parser.add_argument(
        "--mongo-uri", help="an empty MongoDB; without it the tests' own is started"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="how often every store is asked; the least counts"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the stores there, to be asked again"
    )
    parser.add_argument(
        "--no-export", action="store_true", help="leave out the export of the whole store"
    )
    parser.add_argument(
        "--folder", type=Path, help="where the stores go meanwhile: ten million take some 20 GB"
    )
    parsed = parser.parse_args()
    sizes = [int(size) for size in parsed.sizes.split(",")]
    folder = parsed.folder or Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        mongo_uri = parsed.mongo_uri if parsed.store == MONGODB.name else None
        if parsed.store == MONGODB.name and mongo_uri is None:
            from tests.support.mongod import Mongod

            data = Path(tempfile.mkdtemp(prefix="scale-mongod-", dir=folder))
            stack.callback(shutil.rmtree, data)
            mongod = Mongod(data)
            mongod.start()
            stack.callback(mongod.stop)
            mongo_uri = mongod.uri
        stores = {}
        for size in sizes:
            environment = {}
            if mongo_uri is not None:
                environment = {"MONGO_URI": mongo_uri, "MONGO_DB": f"scale_{size}"}
            stores[size] = Store(parsed.store, folder / f"scale-{parsed.store}-{size}", environment)
        measured = measure(stores, parsed)
    RESULTS.mkdir(exist_ok=True)
    write_report(
        RESULTS,
        parsed.store,
        f"python -m bench.scale --store {parsed.store} --sizes {parsed.sizes}",
        measured,
    )


if __name__ == "__main__":
    main()
