"""`python main.py import | export | migrate`, as an operator uses them."""

import asyncio
import resource
import secrets
import signal
import subprocess
import sys
import time
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
import orjson
import pytest

from domain.entities.interaction import Interaction
from domain.entities.statistics import DAY_MILLISECONDS
from infra.attachments.disk import open_disk_attachments
from infra.clock import SystemClock
from infra.history.format.documents import record_of
from infra.history.sqlite.store import open_sqlite
from infra.history.transfer.jsonl_format import line_of
from tests.fakes.contents import PDF, PNG, a_turn_with_contents, put_all
from tests.fakes.interactions import a_tool_turn, an_id, an_interaction
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import shared_mongo_uri
from tests.support.service import ROOT, command, environment, running_service

SECONDS = 300.0


def some(count: int = 30) -> list[Interaction]:
    """Return interactions of three users; one in five is a turn of tools."""
    return [
        (a_tool_turn if number % 5 == 4 else an_interaction)(number, user_id=f"user-{number % 3}")
        for number in range(count)
    ]


def write(file: Path, interactions: Sequence[Interaction]) -> Path:
    file.write_bytes(b"".join(line_of(record_of(one)) + b"\n" for one in interactions))
    return file


def keep(data_dir: Path, interactions: Sequence[Interaction], *, erased: str | None = None) -> None:
    """Keep interactions in the embedded store of `data_dir`, and erase one."""

    async def keep_them() -> None:
        async with open_sqlite(
            data_dir, clock=SystemClock(), read_seconds=SECONDS, min_free_disk_bytes=0
        ) as history:
            await history.append_many(interactions)
            if erased is not None:
                await history.erase("user-0", erased)

    asyncio.run(keep_them())


def with_contents(data_dir: Path, count: int = 6) -> list[Interaction]:
    """Keep turns of three users with attachments and long texts in the embedded store, and return them."""
    turns = [a_turn_with_contents(n, user_id=f"user-{n % 3}") for n in range(count)]

    async def keep_contents() -> None:
        async with open_disk_attachments(
            data_dir, clock=SystemClock(), min_free_disk_bytes=0
        ) as attachments:
            for turn, contents in turns:
                await put_all(attachments, turn, contents)

    asyncio.run(keep_contents())
    keep(data_dir, [turn for turn, _ in turns])
    return [turn for turn, _ in turns]


def files_below(folder: Path) -> dict[str, bytes]:
    """The files of the attachments in a folder, by their path in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in (folder / "users").rglob("*")
        if path.is_file()
    }


def bodies(data_dir: Path) -> list[tuple[str, str, str]]:
    """What is in the embedded store."""
    connection = apsw.Connection(str(data_dir / "history.db"), flags=apsw.SQLITE_OPEN_READONLY)
    rows = connection.execute("SELECT user_id, id, body FROM interaction ORDER BY user_id, id")
    found = list(rows)
    connection.close()
    return found


def checksums(done: "subprocess.CompletedProcess[str]") -> set[str]:
    """What a command says that it counted."""
    return {line.partition(": ")[2] for line in done.stdout.splitlines() if "checksum" in line}


@pytest.mark.slow
def test_what_is_exported_can_be_imported_elsewhere_and_is_the_same(
    data_dir: Path, tmp_path: Path
) -> None:
    keep(data_dir, some())
    file, again = tmp_path / "all.jsonl", tmp_path / "again.jsonl"
    exported = command(data_dir, "export", str(file))
    assert exported.returncode == 0, exported.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    other = tmp_path / "other"

    imported = command(other, "import", str(file))

    assert imported.returncode == 0, imported.stderr
    assert bodies(other) == bodies(data_dir)
    edited = tmp_path / "edited.jsonl"  # as it comes out of an editor elsewhere
    edited.write_bytes(BOM_UTF8 + file.read_bytes().replace(b"\n", b"\r\n"))
    twice = command(other, "import", str(edited))
    assert twice.returncode == 0, twice.stderr
    assert bodies(other) == bodies(data_dir)
    assert command(other, "export", str(again)).returncode == 0
    assert again.read_bytes() == file.read_bytes()
    assert checksums(imported) == checksums(twice) == checksums(exported)
    assert len(checksums(imported)) == 1
    assert "30 interactions" in exported.stdout
    assert not list(other.glob("copy-*"))
    with running_service(other) as service, service.client() as client:
        page = client.get("/v1/history/user-1", params={"limit": 100}).json()
        over_http = client.get("/v1/history/user-1/export").content
        assert [one["id"] for one in page["history"]] == [an_id(n) for n in range(28, 0, -3)]
    lines = file.read_bytes().splitlines(keepends=True)
    assert over_http == b"".join(line for line in lines if b'"user-1"' in line)
    turn = page["history"][8]
    assert turn["toolCalls"][0]["arguments"] == {"city": "Pará"}
    assert turn["toolResults"][1]["isError"] is True
    assert "details" not in turn


@pytest.mark.slow
def test_a_running_service_is_exported_but_not_imported_into(
    data_dir: Path, tmp_path: Path
) -> None:
    with running_service(data_dir) as service, service.client() as client:
        for user in ("ana", "bob"):
            client.post("/v1/chat", json={"userId": user, "userPrompt": "hi"})
        shown = client.get("/v1/history/ana").json()["history"]
        file = tmp_path / "ana.jsonl"
        assert command(data_dir, "export", str(file), "--user", "ana").returncode == 0
        assert [orjson.loads(line) for line in file.read_bytes().splitlines()] == shown
        for refused in (
            command(data_dir, "import", str(file)),
            command(
                data_dir,
                "migrate",
                "--from",
                "sqlite",
                "--to",
                "mongodb",
                MONGO_URI="mongodb://127.0.0.1:1",
            ),
        ):
            assert refused.returncode == 78
            assert refused.stdout == ""
            assert refused.stderr.count("\n") == 1
            assert "in use" in refused.stderr
            assert "stop that one first" in refused.stderr


@pytest.mark.slow
def test_contents_are_exported_and_imported_with_their_turns(
    data_dir: Path, tmp_path: Path
) -> None:
    with_contents(data_dir)
    keep(data_dir, [an_interaction(9, user_id="user-1")])
    file, again, other = tmp_path / "all.jsonl", tmp_path / "again.jsonl", tmp_path / "other"
    exported = command(data_dir, "export", str(file))
    assert exported.returncode == 0, exported.stderr
    assert "7 interactions" in exported.stdout
    looked = command(other, "import", str(file), "--dry-run")
    assert (looked.returncode, looked.stderr) == (0, "")

    imported = command(other, "import", str(file))

    assert imported.returncode == 0, imported.stderr
    assert bodies(other) == bodies(data_dir)
    assert files_below(other / "attachments") == files_below(data_dir / "attachments")
    assert checksums(exported) == checksums(looked) == checksums(imported)
    assert command(other, "export", str(again)).returncode == 0
    assert again.read_bytes() == file.read_bytes()
    lines = file.read_bytes().splitlines(keepends=True)
    interactions = [line for line in lines if not line.startswith(b'{"attachment":')]
    assert len(lines) - len(interactions) == 6
    with running_service(other) as service, service.client() as client:
        over_http = client.get("/v1/history/user-1/export").content
        assert over_http == b"".join(line for line in interactions if b'"user-1"' in line)
        for one in orjson.loads(interactions[0])["attachments"][:2]:
            found = client.get(f"/v1/history/user-0/attachments/{one['id']}")
            assert found.headers["content-type"] == one["mediaType"]
            assert found.content in (PNG, PDF)
    one_user = tmp_path / "one.jsonl"
    assert command(data_dir, "export", str(one_user), "--user", "user-1").returncode == 0
    assert one_user.read_bytes() == b"".join(line for line in lines if b'"user-1"' in line)
    without = tmp_path / "without.jsonl"
    without.write_bytes(b"".join(interactions))
    bare = tmp_path / "bare"
    imported = command(bare, "import", str(without))
    assert imported.returncode == 0, imported.stderr
    assert "6 of their attachments or long texts are neither in " in imported.stdout
    assert bodies(bare) == bodies(data_dir)


@pytest.mark.slow
def test_contents_move_from_store_to_store(data_dir: Path, tmp_path: Path) -> None:
    turns, other = with_contents(data_dir), tmp_path / "other"
    stack = deploy_data_stack(shared_emulator())
    settings = {
        "MONGO_URI": shared_mongo_uri(),
        "MONGO_DB": f"rt_contents_{secrets.token_hex(4)}",
        "AWS_ENDPOINT_URL": stack.emulator.url,
        "AWS_EMULATOR": "true",
        "DYNAMODB_TABLE": stack.table,
    }
    to_mongodb = ("migrate", "--from", "sqlite", "--to", "mongodb")
    to_dynamodb = ("migrate", "--from", "mongodb", "--to", "dynamodb")
    back = ("migrate", "--from", "dynamodb", "--to", "sqlite")
    moved = command(data_dir, *to_mongodb, **settings)
    assert moved.returncode == 0, moved.stderr

    refused = command(data_dir, *to_dynamodb, **settings)
    assert refused.returncode == 1
    assert "mongodb holds attachments: set ATTACHMENTS_BUCKET" in refused.stderr
    none_yet = command(data_dir, *back, **settings)
    assert "sqlite: 0 interactions" in none_yet.stdout

    bucket = {"ATTACHMENTS_BUCKET": f"t{secrets.token_hex(6)}"}
    moved = command(data_dir, *to_dynamodb, **settings, **bucket)
    assert moved.returncode == 0, moved.stderr
    refused = command(other, *back, **settings)
    assert refused.returncode == 1
    assert "refer to attachments or long texts: set ATTACHMENTS_BUCKET" in refused.stderr
    assert not bodies(other)
    moved = command(other, *back, **settings, **bucket)
    assert moved.returncode == 0, moved.stderr
    assert f"{len(turns)} interactions" in moved.stdout
    assert bodies(other) == bodies(data_dir)
    assert files_below(other / "attachments") == files_below(data_dir / "attachments")


@pytest.mark.slow
def test_a_table_without_a_bucket_takes_no_attachments_and_keeps_long_texts_in_the_row(
    data_dir: Path, tmp_path: Path
) -> None:
    with_contents(data_dir)
    stack = deploy_data_stack(shared_emulator())
    settings = {
        "AWS_ENDPOINT_URL": stack.emulator.url,
        "AWS_EMULATOR": "true",
        "DYNAMODB_TABLE": stack.table,
    }
    file, out = tmp_path / "all.jsonl", tmp_path / "out.jsonl"
    assert command(data_dir, "export", str(file)).returncode == 0
    refused = command(data_dir, "import", str(file), **settings)
    assert refused.returncode == 1
    assert "holds attachments: set ATTACHMENTS_BUCKET" in refused.stderr
    assert "0 interactions" in command(data_dir, "export", str(out), **settings).stdout
    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    texts = tmp_path / "texts.jsonl"
    for line in lines:
        if attachments := line.pop("attachments", None):
            kinds = [one["type"] for one in line["details"]["input"]]
            assert kinds.count("attachment") == len(attachments)
            line["details"]["input"] = [
                one for one in line["details"]["input"] if one["type"] != "attachment"
            ]
    texts.write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in lines if "id" in one))
    imported = command(data_dir, "import", str(texts), **settings)
    assert imported.returncode == 0, imported.stderr
    exported = command(data_dir, "export", str(out), "--force", **settings)
    assert exported.returncode == 0, exported.stderr
    assert sorted(out.read_bytes().splitlines()) == sorted(texts.read_bytes().splitlines())


@pytest.mark.slow
def test_a_backup_has_the_attachments_and_restores_them(data_dir: Path, tmp_path: Path) -> None:
    with_contents(data_dir)
    copy, restored = tmp_path / "backup.db", tmp_path / "restored"
    with running_service(data_dir):
        done = command(data_dir, "backup", str(copy))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "backup.db.attachments"
    assert f"{copy} and {folder}: " in done.stdout
    assert folder.stat().st_mode & 0o777 == 0o700
    refused = command(data_dir, "backup", str(copy))
    assert (refused.returncode, "exists already" in refused.stderr) == (1, True)
    assert command(data_dir, "backup", str(copy), "--force").returncode == 0
    assert sorted(path.name for path in tmp_path.glob("*backup*")) == [copy.name, folder.name]
    restored.mkdir(mode=0o700)
    copy.rename(restored / "history.db")
    folder.rename(restored / "attachments")
    assert files_below(restored / "attachments") == files_below(data_dir / "attachments")
    picture = {"mediaType": "image/png", "data": "iVBORw0KGgo="}
    with running_service(restored) as service, service.client() as client:
        shown = client.get("/v1/history/user-0").json()["history"][0]
        kept = client.get(f"/v1/history/user-0/attachments/{shown['attachments'][0]['id']}")
        assert kept.content == PNG
        assert client.delete("/v1/history/user-0").status_code in (200, 204)
        assert client.get(
            f"/v1/history/user-0/attachments/{shown['attachments'][0]['id']}"
        ).is_error
        asked = {"userId": "user-0", "userPrompt": "hi", "attachments": [picture]}
        assert client.post("/v1/chat", json=asked).status_code in (200, 422)


def test_an_export_replaces_no_file_unasked(data_dir: Path, tmp_path: Path) -> None:
    keep(data_dir, some())
    file = tmp_path / "all.jsonl"
    file.write_text("mine")
    refused = command(data_dir, "export", str(file))
    assert (refused.returncode, file.read_text()) == (1, "mine")
    assert "--force" in refused.stderr
    assert command(data_dir, "export", str(file), "--force").returncode == 0
    assert len(file.read_bytes().splitlines()) == 30
    assert list(tmp_path.glob(".all*")) == []
    link = tmp_path / "link"
    link.symlink_to(file)
    assert command(data_dir, "export", str(link)).returncode == 1
    assert command(data_dir, "export", str(link), "--force").returncode == 0
    assert link.is_symlink()
    for no_file in (tmp_path, Path("/dev/null")):  # a rename would put a file in its place
        refused = command(data_dir, "export", str(no_file), "--force")
        assert refused.returncode == 1
        assert "is not a file" in refused.stderr
    refused = command(data_dir, "export", str(tmp_path / "no folder" / "x"))
    assert refused.stderr.endswith("/no folder/x cannot be written: No such file or directory\n")


def test_a_bad_line_is_named_and_nothing_of_its_batch_is_stored(
    data_dir: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "all.jsonl", some())
    lines = file.read_bytes().splitlines(keepends=True)
    bad = orjson.loads(lines[16]) | {"response": 5, "userPrompt": "a secret"}
    file.write_bytes(b"".join([*lines[:16], orjson.dumps(bad), b"\n\n", *lines[17:]]))

    done = command(data_dir, "import", str(file))

    assert done.returncode == 1
    assert "line 17: response: " in done.stderr
    assert "secret" not in done.stderr
    assert "--skip-invalid" in done.stderr
    assert bodies(data_dir) == []
    looked = command(data_dir, "import", str(file), "--skip-invalid", "--dry-run")
    assert "29 interactions" in looked.stdout
    assert bodies(data_dir) == []

    skipped = command(data_dir, "import", str(file), "--skip-invalid")

    assert skipped.returncode == 0
    assert "line 17" in skipped.stderr
    assert "not interactions: 1." in skipped.stdout
    assert len(bodies(data_dir)) == 29


def test_what_is_older_than_the_retention_is_left_out_and_counted(
    data_dir: Path, tmp_path: Path
) -> None:
    keeping = {"HISTORY_RETENTION_DAYS": "1"}
    now = round(time.time() * 1000)
    old, fresh = (
        [an_interaction(n, id=an_id(n, milliseconds=at)) for n in range(30)]
        for at in (now - 2 * DAY_MILLISECONDS, now)
    )
    file, out = write(tmp_path / "all.jsonl", [*old, *fresh]), tmp_path / "out.jsonl"

    looked = command(data_dir, "import", str(file), "--dry-run", **keeping)
    imported = command(data_dir, "import", str(file), **keeping)

    for done in (looked, imported):
        assert done.returncode == 0, done.stderr
        assert "30 more are left out: older than HISTORY_RETENTION_DAYS allows." in done.stdout
    assert checksums(looked) == checksums(imported)
    assert len(bodies(data_dir)) == 30
    command(data_dir, "import", str(file))  # as it was before there was a retention
    assert command(data_dir, "export", str(out), **keeping).returncode == 0
    assert out.read_bytes() == write(tmp_path / "fresh.jsonl", fresh).read_bytes()
    mongo = {"MONGO_URI": shared_mongo_uri(), "MONGO_DB": f"rt_old_{secrets.token_hex(4)}"}
    moved = command(data_dir, "migrate", "--from", "sqlite", "--to", "mongodb", **mongo, **keeping)
    assert moved.returncode == 0, moved.stderr
    assert len(checksums(moved)) == 1
    assert "30 more are left out" in moved.stdout


def test_what_was_erased_stays_erased(data_dir: Path, tmp_path: Path) -> None:
    keep(data_dir, some(), erased=an_id(3))
    done = command(data_dir, "import", str(write(tmp_path / "all.jsonl", some())))
    assert done.returncode == 0, done.stderr
    assert "1 more were erased" in done.stdout
    assert an_id(3) not in {row[1] for row in bodies(data_dir)}


def test_what_is_there_as_something_else_is_left_and_named(data_dir: Path, tmp_path: Path) -> None:
    keep(data_dir, [an_interaction(4, user_id="user-1", text="changed")])
    done = command(data_dir, "import", str(write(tmp_path / "all.jsonl", some())))
    assert done.returncode == 1
    assert f"user-1/{an_id(4)}" in done.stderr
    assert len(bodies(data_dir)) == 30
    assert "changed" in bodies(data_dir)[11][2]


def test_a_file_that_is_not_there_is_named(data_dir: Path, tmp_path: Path) -> None:
    done = command(data_dir, "import", str(tmp_path / "none.jsonl"))
    assert (done.returncode, data_dir.exists()) == (1, False)
    assert "none.jsonl does not exist" in done.stderr
    for no_file in (tmp_path, Path("/dev/null")):
        done = command(data_dir, "import", str(no_file))
        assert (done.returncode, data_dir.exists()) == (1, False)
        assert "is not a file" in done.stderr
    assert command(data_dir, "export", str(tmp_path / "x")).returncode == 1


def ended_early(
    data_dir: Path, *arguments: str, when: Callable[[], bool], by: signal.Signals
) -> int:
    """Start a command, send it a signal once something is so, and return its exit code."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), *arguments],
        cwd=data_dir.parent,
        env=environment(data_dir),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not when():
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(by)
        return process.wait(120)
    finally:
        process.kill()
        process.wait()


def state_of(data_dir: Path) -> Any:
    """How far the import under way is; None before it noted anything."""
    files = list(data_dir.glob("copy-*.json"))
    return orjson.loads(files[0].read_bytes()) if files else None


@pytest.mark.slow
def test_an_import_that_is_broken_off_or_killed_goes_on_where_it_was(
    data_dir: Path, tmp_path: Path
) -> None:
    everything = some(90_000)
    file = write(tmp_path / "all.jsonl", everything)
    code = ended_early(
        data_dir, "import", str(file), when=lambda: state_of(data_dir) is not None, by=signal.SIGINT
    )
    begun = state_of(data_dir)
    assert code == 130
    ended_early(
        data_dir, "import", str(file), when=lambda: state_of(data_dir) != begun, by=signal.SIGKILL
    )
    state = state_of(data_dir)
    assert 0 < begun["position"]["line"] < state["position"]["line"] < len(everything)
    assert state["source"]["count"] <= len(bodies(data_dir)) < len(everything)

    done = command(data_dir, "import", str(file))

    assert done.returncode == 0, done.stderr
    assert len(checksums(done)) == 1
    assert checksums(done) == checksums(command(data_dir, "import", str(file), "--dry-run"))
    found = sorted(row[1] for row in bodies(data_dir))
    assert found == [one.id for one in everything]


@pytest.mark.slow
def test_an_export_that_is_killed_goes_on_where_it_was(data_dir: Path, tmp_path: Path) -> None:
    keep(data_dir, some(5_000))
    file, whole = tmp_path / "all.jsonl", tmp_path / "whole.jsonl"
    assert command(data_dir, "export", str(whole)).returncode == 0
    ended_early(
        data_dir,
        "export",
        str(file),
        when=lambda: bool(list(tmp_path.glob(".all.jsonl.*.partial"))),
        by=signal.SIGKILL,
    )
    partial = next(tmp_path.glob(".all.jsonl.*.partial"))
    begun = whole.read_bytes()[:1_000_000]
    partial.write_bytes(begun)  # in the middle of a line
    assert not file.exists()

    done = command(data_dir, "export", str(file))

    assert done.returncode == 0, done.stderr
    assert file.read_bytes() == whole.read_bytes()
    assert "5000 interactions" in done.stdout


@pytest.mark.slow
def test_an_import_of_attachments_that_is_killed_goes_on_without_loss_or_doubles(
    data_dir: Path, tmp_path: Path
) -> None:
    """Every turn has an image of its own, so that the file takes several batches."""
    file, other = tmp_path / "all.jsonl", tmp_path / "other"
    turns = [
        a_turn_with_contents(n, image=PNG + n.to_bytes(4) * 500_000, user_id=f"user-{n % 3}")
        for n in range(60)
    ]

    async def keep_contents() -> None:
        async with open_disk_attachments(
            data_dir, clock=SystemClock(), min_free_disk_bytes=0
        ) as attachments:
            for turn, contents in turns:
                await put_all(attachments, turn, contents)

    asyncio.run(keep_contents())
    keep(data_dir, [turn for turn, _ in turns])
    assert command(data_dir, "export", str(file)).returncode == 0
    ended_early(
        other, "import", str(file), when=lambda: state_of(other) is not None, by=signal.SIGKILL
    )
    state = state_of(other)
    assert 0 < state["source"]["count"] < len(turns)

    done = command(other, "import", str(file))

    assert done.returncode == 0, done.stderr
    assert bodies(other) == bodies(data_dir)
    assert files_below(other / "attachments") == files_below(data_dir / "attachments")
    assert len(checksums(done)) == 1


@pytest.mark.slow
def test_an_export_of_attachments_goes_on_behind_them(data_dir: Path, tmp_path: Path) -> None:
    with_contents(data_dir)
    file, whole = tmp_path / "all.jsonl", tmp_path / "whole.jsonl"
    assert command(data_dir, "export", str(whole)).returncode == 0
    assert command(data_dir, "export", str(file)).returncode == 0
    ends = [n for n, byte in enumerate(whole.read_bytes()) if byte == 10]
    for end in (ends[0], ends[1] + 10, ends[4]):
        file.unlink()
        ended_early(
            data_dir,
            "export",
            str(file),
            when=lambda: bool(list(tmp_path.glob(".all.jsonl.*.partial"))) or file.exists(),
            by=signal.SIGKILL,
        )
        file.unlink(missing_ok=True)
        if not (partials := list(tmp_path.glob(".all.jsonl.*.partial"))):
            continue
        partials[0].write_bytes(whole.read_bytes()[: end + 1])
        assert command(data_dir, "export", str(file)).returncode == 0
        assert file.read_bytes() == whole.read_bytes()


@pytest.mark.faults  # a store that cannot be written is tried for half a minute
def test_a_disk_that_is_full_is_named_and_gone_on_from(data_dir: Path, tmp_path: Path) -> None:
    """`RLIMIT_FSIZE` stands for it, as elsewhere: no file may grow beyond."""
    file = write(tmp_path / "all.jsonl", some(3_000))

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))

    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "import", str(file)],
        cwd=tmp_path,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        preexec_fn=little_room,
        timeout=90,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot be written (disk I/O error); what was copied so far stays" in done.stderr
    assert command(data_dir, "import", str(file)).returncode == 0
    assert len(bodies(data_dir)) == 3_000


def test_a_store_that_does_not_answer_is_said_in_a_line(data_dir: Path, tmp_path: Path) -> None:
    done = command(data_dir, "export", str(tmp_path / "x"), MONGO_URI="mongodb://127.0.0.1:1")
    assert done.returncode == 1
    *_, said = done.stderr.splitlines()
    assert "export: MongoDB does not answer as it should (127.0.0.1:1: " in said
    assert "opology" not in said
    assert len(said) < 250


@pytest.mark.slow
def test_history_moves_to_mongodb_and_back(data_dir: Path, tmp_path: Path) -> None:
    keep(data_dir, some(), erased=an_id(3))
    mongo = {"MONGO_URI": shared_mongo_uri(), "MONGO_DB": f"rt_move_{secrets.token_hex(4)}"}
    there = command(data_dir, "migrate", "--from", "sqlite", "--to", "mongodb", **mongo)
    assert there.returncode == 0, there.stderr
    assert len(checksums(there)) == 1
    assert "1 erasures were taken over" in there.stdout
    other = tmp_path / "other"

    back = command(other, "migrate", "--from", "mongodb", "--to", "sqlite", **mongo)

    assert back.returncode == 0, back.stderr
    assert checksums(back) == checksums(there)
    assert bodies(other) == bodies(data_dir)
    late = command(other, "import", str(write(tmp_path / "late.jsonl", some())))
    assert "1 more were erased" in late.stdout
    with running_service(data_dir, mongo) as service, service.client() as client:
        assert len(client.get("/v1/history/user-0").json()["history"]) == 9
    exported = command(data_dir, "export", str(tmp_path / "mongo.jsonl"), **mongo)
    assert "29 interactions" in exported.stdout


@pytest.mark.slow
def test_what_this_host_has_still_to_deliver_is_not_forgotten(
    data_dir: Path, tmp_path: Path
) -> None:
    there = {"MONGO_URI": shared_mongo_uri(), "MONGO_DB": f"rt_wait_{secrets.token_hex(4)}"}
    away = there | {"MONGO_URI": "mongodb://127.0.0.1:1"}
    with running_service(data_dir, away) as service, service.client() as client:
        asked = client.post("/v1/chat", json={"userId": "ana", "userPrompt": "hi"})
        assert asked.status_code == 200
        exported = command(data_dir, "export", str(tmp_path / "out.jsonl"), **there)
        assert "export: 1 interactions of this host are not in the store yet" in exported.stderr
        service.kill()
    moving = ("migrate", "--from", "mongodb", "--to", "sqlite")
    refused = command(data_dir, *moving, **there)
    assert refused.returncode == 1
    assert "1 interactions in " in refused.stderr
    assert not (data_dir / "history.db").exists()
    with running_service(data_dir, there) as service, service.client() as client:
        assert len(client.get("/v1/history/ana/conversations").json()) == 2
        assert client.get("/v1/history/ana/stats").json()["groups"][0]["interactions"] == 1
    moved = command(data_dir, *moving, **there)
    assert moved.returncode == 0, moved.stderr
    assert [row[1] for row in bodies(data_dir)] == [asked.json()["id"]]


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--from", "sqlite", "--to", "sqlite"], 1, "not a migration"),
        (["--from", "sqlite", "--to", "mongodb"], 1, "history.db does not exist"),
        (["--from", "mongodb", "--to", "sqlite"], 78, "MONGO_URI"),
        (["--from", "dynamodb", "--to", "sqlite"], 78, "DYNAMODB_TABLE"),
        (["--from", "postgres", "--to", "sqlite"], 2, "postgres"),
    ],
)
def test_a_migration_that_cannot_be_says_why(
    data_dir: Path, arguments: list[str], code: int, named: str
) -> None:
    done = command(data_dir, "migrate", *arguments)
    assert done.returncode == code
    assert named in done.stderr


def with_a_conversation(data_dir: Path, settings: dict[str, str]) -> dict[str, Any]:
    """Return a conversation of ana's with an added item, a turn and a title, beside a record of bob's."""
    with running_service(data_dir, settings) as service, service.client() as client:
        hello = {"role": "user", "content": "Hello!"}
        body = {"user": "ana", "metadata": {"topic": "é"}, "items": [hello]}
        made: dict[str, Any] = client.post("/v1/conversations", json=body).json()
        assert client.post("/v1/conversations", json={"user": "bob"}).status_code == 200
        answer = client.post("/v1/responses", json={"conversation": made["id"], "input": "One?"})
        assert answer.status_code == 200, answer.text
        native = f"/v1/history/ana/conversations/{made['id'].split('.')[0]}"
        assert client.patch(native, json={"title": "Greetings"}).status_code == 200
    return made


def has_it(data_dir: Path, made: dict[str, Any], settings: dict[str, str]) -> bool:
    with running_service(data_dir, settings) as service, service.client() as client:
        path = f"/v1/conversations/{made['id']}"
        if client.get(path).status_code == 404:
            return False
        assert client.get(path).json() == made
        items = client.get(f"{path}/items", params={"order": "asc"}).json()["data"]
        assert [item["role"] for item in items] == ["user", "user", "assistant"]
        listed = client.get("/v1/history/ana/conversations").json()["conversations"]
        assert listed[0]["title"] == "Greetings"
    return True


@pytest.mark.slow
def test_records_of_conversations_are_exported_imported_and_moved(
    data_dir: Path, tmp_path: Path
) -> None:
    sealing = {"CURSOR_SECRET": "a secret that both installations have in common"}
    made = with_a_conversation(data_dir, sealing)
    file = tmp_path / "all.jsonl"
    assert "1 interaction" in command(data_dir, "export", str(file)).stdout
    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    assert [line.get("conversation", {}).get("userId") for line in lines] == [None, "ana", "bob"]
    only = tmp_path / "ana.jsonl"
    assert command(data_dir, "export", str(only), "--user", "ana").returncode == 0
    assert only.read_bytes().splitlines() == file.read_bytes().splitlines()[:2]
    other = tmp_path / "other"
    for _ in range(2):
        done = command(other, "import", str(file))
        assert done.returncode == 0, done.stderr
    again = tmp_path / "again.jsonl"
    assert command(other, "export", str(again)).returncode == 0
    assert again.read_bytes() == file.read_bytes()
    assert has_it(other, made, sealing)

    mongo = {"MONGO_URI": shared_mongo_uri(), "MONGO_DB": f"rt_move_{secrets.token_hex(4)}"}
    there = command(other, "migrate", "--from", "sqlite", "--to", "mongodb", **mongo)
    assert there.returncode == 0, there.stderr
    assert has_it(tmp_path / "host", made, {**mongo, **sealing})
    back = tmp_path / "back"
    moved = command(back, "migrate", "--from", "mongodb", "--to", "sqlite", **mongo)
    assert moved.returncode == 0, moved.stderr
    assert has_it(back, made, sealing)


@pytest.mark.slow
def test_an_import_changes_no_record_and_restores_no_erased_one(
    data_dir: Path, tmp_path: Path
) -> None:
    sealing = {"CURSOR_SECRET": "a secret that both installations have in common"}
    made = with_a_conversation(data_dir, sealing)
    file = tmp_path / "all.jsonl"
    assert command(data_dir, "export", str(file)).returncode == 0
    path = f"/v1/conversations/{made['id']}"
    with running_service(data_dir, sealing) as service, service.client() as client:
        changed = client.post(path, json={"metadata": {"topic": "later"}}).json()
    assert command(data_dir, "import", str(file)).returncode == 0
    with running_service(data_dir, sealing) as service, service.client() as client:
        assert client.get(path).json() == changed
        assert client.delete("/v1/history/ana").json() == {"deleted": 1}
    assert command(data_dir, "import", str(file)).returncode == 0
    assert not has_it(data_dir, made, sealing)


@pytest.mark.parametrize(
    "line",
    [
        b'{"conversation":{"v":1}}',
        b'{"conversation":{"v":2,"userId":"a","conversationId":"b"}}',
        b'{"conversation":null}',
        b'{"conversation":',
        b'{"conversation":{},"id":"x"}',
    ],
)
def test_a_line_that_is_no_record_is_named(data_dir: Path, tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(line + b"\n")
    refused = command(data_dir, "import", str(file))
    assert refused.returncode != 0
    assert "line 1: " in refused.stderr
