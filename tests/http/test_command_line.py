"""`python main.py`: commands, exit codes, and what is said when a start is refused."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import apsw
import httpx2
import pytest

from tests.support.service import ROOT, command, environment, running_service

BODY = {"userId": "ana", "userPrompt": "hi"}


TOKENS = {
    "AUTHENTICATION": "jwt",
    "JWT_ISSUER": "https://issuer.example/",
    "JWT_AUDIENCE": "rt-genai",
    "JWKS_URL": "http://issuer.example/jwks",
}


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why."""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    said = [line["message"] for line in lines if line["log"]["level"] in ("critical", "error")]
    said += done.stderr.splitlines()
    assert len(said) == 1, said
    return str(said[0])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["serve", "--help"],
        ["backup", "--help"],
        ["keys", "--help"],
        ["keys", "create", "--help"],
    ],
)
def test_every_command_explains_itself(data_dir: Path, arguments: list[str]) -> None:
    done = command(data_dir, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: python main.py" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["backup"],
        ["keys"],
        ["keys", "create", "--user", "a/b"],
        ["keys", "create", "--scope", "all"],
        ["keys", "create", "--expires", "2020-01-01"],
    ],
)
def test_what_is_not_understood_exits_with_2(data_dir: Path, arguments: list[str]) -> None:
    assert command(data_dir, *arguments).returncode == 2


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"PORT": "99999999"}, "PORT"),
        ({"REQUEST_TIMEOUT_SECONDS": "1"}, "REQUEST_TIMEOUT_SECONDS"),
        ({"MODELS_FILE": "/nowhere/models.toml"}, "models.toml"),
        ({"OPENAI_BASE_URL": "ftp://x", "OPENAI_MODEL": "m"}, "OPENAI_BASE_URL"),
        ({"GEMINI_API_KEY": "a\nb"}, "GEMINI_API_KEY"),
        ({"ENVIRONMENT": "production"}, "AUTHENTICATION"),
        ({"ENVIRONMENT": "production"}, "demo"),
        ({"ENVIRONMENT": "production"}, "CURSOR_SECRET"),
        ({"ENVIRONMENT": "production", "CORS_ORIGINS": "*"}, "CORS_ORIGINS"),
        ({"ENVIRONMENT": "production", "CURSOR_SECRET": "short"}, "CURSOR_SECRET is shorter"),
        ({"ENVIRONMENT": "production", **TOKENS}, "JWKS_URL is not an https URL"),
        ({**TOKENS, "JWKS_URL": "file:///etc/passwd"}, "JWKS_URL"),
        ({**TOKENS, "JWKS_URL": ""}, "JWKS_URL"),
        ({**TOKENS, "JWT_AUDIENCE": ""}, "JWT_AUDIENCE"),
        ({**TOKENS, "JWT_LEEWAY_SECONDS": "61"}, "JWT_LEEWAY_SECONDS"),
        ({"AUTHENTICATION": "basic"}, "AUTHENTICATION"),
        ({"AUTHENTICATION": "api_keys", "API_KEYS": "id=x"}, "API_KEYS, line 1"),
        ({"AUTHENTICATION": "api_keys", "API_KEYS_FILE": "/nowhere/keys"}, "API_KEYS_FILE"),
        ({"TRUSTED_PROXIES": "10.0.0.1/8"}, "TRUSTED_PROXIES"),
        ({"ENVIRONMENT": "production", "MONGO_URI": "mongodb://db.example/"}, "MONGO_URI"),
        ({"ENVIRONMENT": "production", "AWS_ENDPOINT_URL": "http://aws"}, "AWS_ENDPOINT_URL"),
        (
            {
                "ENVIRONMENT": "production",
                "OPENAI_BASE_URL": "http://models.example/v1",
                "OPENAI_MODEL": "m",
            },
            "allow_http",
        ),
    ],
)
def test_a_configuration_that_will_not_do_exits_with_78_and_one_line(
    data_dir: Path, settings: dict[str, str], named: str
) -> None:
    done = command(data_dir, "serve", **settings)
    assert done.returncode == 78, done.stdout + done.stderr
    assert named in last_words(done)
    assert done.stderr == "", "a service says everything in its log"
    line = json.loads(done.stdout.splitlines()[-1])
    assert line["error"] == {"type": "ConfigurationError", "message": line["message"]}
    assert line["process"] == {"exit_code": 78}


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [["main.py", "serve"], ["main.py", "worker"], ["-m", "uvicorn", "main:app"]],
    ids=str,
)
def test_a_setting_that_cannot_be_read_is_one_line_of_the_log_and_not_quoted(
    data_dir: Path, arguments: list[str]
) -> None:
    wrong = {"METRICS_PORT": "canary-7f3a", "ENVIRONMENT": "production"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(data_dir, wrong),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 78
    line = json.loads(done.stdout)
    assert line["log"]["level"] == "critical"
    assert line["service"]["environment"] == "production"
    assert line["message"].startswith("METRICS_PORT: ")
    assert b"canary" not in done.stdout


def test_an_env_file_that_is_no_text_is_one_line_of_the_log(data_dir: Path) -> None:
    (data_dir.parent / ".env").write_bytes(b"PORT=\xff\xfe")
    done = command(data_dir, "serve")
    assert done.returncode == 78
    assert ".env cannot be read" in last_words(done)
    assert done.stderr == ""


@pytest.mark.parametrize(("log_format", "is_json"), [(None, False), ("json", True)])
def test_a_person_at_a_terminal_reads_why_it_does_not_start(
    data_dir: Path, log_format: str | None, is_json: bool
) -> None:
    ours, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "serve"],
        cwd=data_dir.parent,
        env=environment(
            data_dir, {"PORT": "x"} | ({"LOG_FORMAT": log_format} if log_format else {})
        ),
        stdout=terminal,
        stderr=terminal,
        timeout=60,
        check=False,
    )
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(terminal)
    assert done.returncode == 78
    assert "PORT: " in shown
    assert shown.startswith("{") is is_json


def test_a_second_server_on_the_same_data_exits_with_78(data_dir: Path) -> None:
    with running_service(data_dir) as service, service.client() as client:
        done = command(data_dir, "serve")
        assert done.returncode == 78
        assert "in use" in last_words(done)
        assert client.post("/v1/chat", json=BODY).status_code == 200


def test_told_to_stop_it_is_first_unready_and_still_serves_for_as_long_as_it_is_told(
    data_dir: Path,
) -> None:
    with running_service(data_dir, {"UNREADY_SECONDS": "3600"}) as service:
        service.process.send_signal(signal.SIGTERM)
        service.lines_with("stopping")
        ready = 200
        while ready == 200:
            with service.client() as client:  # a connection of its own: new ones are still taken
                ready = client.get("/health/ready").status_code
                assert client.post("/v1/chat", json=BODY).status_code == 200
        assert ready == 503
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(120) == 0


def test_a_port_that_is_taken_exits_with_1(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command(data_dir, "serve", PORT=str(port))
    assert done.returncode == 1
    assert str(port) in last_words(done)


def test_the_demo_answers_without_any_configuration_and_says_what_it_is(data_dir: Path) -> None:
    with running_service(data_dir) as service, service.client() as client:
        answer = client.post("/v1/chat", json=BODY).json()
        assert (answer["model"], answer["provider"]) == ("demo", "demo")
        assert "demo" in answer["response"].lower()
        assert client.get("/v1/models").json()["data"][0]["id"] == "demo"
        assert service.stop() == 0
    assert data_dir.stat().st_mode & 0o777 == 0o700
    for file in data_dir.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


def test_settings_come_from_a_dotenv_file_too(data_dir: Path) -> None:
    (data_dir.parent / ".env").write_text("DOCS_ENABLED=false\n")
    with running_service(data_dir) as service, service.client() as client:
        assert client.get("/docs").status_code == 404


@pytest.mark.slow
def test_a_backup_made_under_load_restores(data_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with running_service(data_dir) as service, service.client() as client:
        asked = {client.post("/v1/chat", json=BODY).json()["id"] for _ in range(20)}
        done = command(data_dir, "backup", str(copy))
        assert done.returncode == 0, done.stderr
        client.post("/v1/chat", json=BODY)
    assert command(data_dir, "backup", str(copy)).returncode == 1  # never over a file unasked
    assert apsw.Connection(str(copy)).pragma("integrity_check") == "ok"
    restored = tmp_path / "restored"
    restored.mkdir()
    copy.rename(restored / "history.db")
    with running_service(restored) as service, service.client() as client:
        page = client.get("/v1/history/ana", params={"limit": 100}).json()
        assert {item["id"] for item in page["history"]} == asked


def test_a_backup_of_nothing_says_so(data_dir: Path, tmp_path: Path) -> None:
    done = command(data_dir, "backup", str(tmp_path / "copy.db"))
    assert done.returncode == 1
    assert "does not exist" in done.stderr


@pytest.mark.slow
def test_plain_uvicorn_serves_main_app(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "main:app", "--port", str(port)],
        cwd=ROOT,
        env=environment(data_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        while b"running on" not in (line := process.stdout.readline()):
            assert line, "it ended"
        answer = httpx2.post(f"http://127.0.0.1:{port}/v1/chat", json=BODY, trust_env=False)
        assert answer.status_code == 200
    finally:
        process.terminate()
        process.wait(120)
        if process.stdout is not None:
            process.stdout.close()


def test_a_key_that_is_not_there_cannot_be_revoked(data_dir: Path) -> None:
    done = command(data_dir, "keys", "revoke", "abcdefghijkl")
    assert (done.returncode, done.stdout) == (1, "")
    assert "keys list" in done.stderr
    assert not data_dir.exists()


def test_safe_settings_are_let_into_production(data_dir: Path) -> None:
    safe = {
        "ENVIRONMENT": "production",
        "AUTHENTICATION": "api_keys",
        "CURSOR_SECRET": "0123456789abcdef0123456789abcdef",
        "OPENAI_BASE_URL": "https://models.example/v1",
        "OPENAI_MODEL": "m",
    }
    with running_service(data_dir, safe) as service, service.client() as client:
        assert client.get("/v1/models").status_code == 401
        assert client.get("/health/ready").status_code == 200
