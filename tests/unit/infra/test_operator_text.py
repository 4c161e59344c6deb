"""Files that an operator edits may begin with a byte order mark, and in another encoding they are refused by name."""

import codecs
import json
from pathlib import Path

import pytest

from infra.clock import SystemClock
from infra.configuration import ConfigurationError, read_environment
from infra.llm.catalogue.models_file import read_models_file
from infra.operator_text import NotUtf8, text_of
from infra.security.api_keys.cache import open_api_key_cache
from infra.settings import read_settings

pytestmark = pytest.mark.seen("E3")

BUILT_IN = Path(__file__).parents[3] / "infra" / "llm" / "catalogue" / "models.toml"
KEY_LINE = f"id=k3j5h2m9x0ab hash={'0' * 64} name=one"
OTHERS = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"]


def in_other_encodings(text: str) -> list[bytes]:
    marked = [codecs.BOM_UTF16_LE + text.encode("utf-16-le"), text.encode("utf-32")]
    return [*marked, *(f"# é\n{text}".encode(encoding) for encoding in OTHERS)]


def test_a_mark_is_passed_over_and_nothing_else_is() -> None:
    assert text_of(codecs.BOM_UTF8 + "é\n".encode()) == "é\n"
    assert text_of("é\n".encode()) == "é\n"
    assert text_of(codecs.BOM_UTF8 * 2) == "\ufeff"
    assert text_of(b"") == ""


@pytest.mark.parametrize("content", in_other_encodings("a = 1\n"))
def test_another_encoding_is_named_with_what_to_do(content: bytes) -> None:
    with pytest.raises(NotUtf8, match="save it as UTF-8"):
        text_of(content)


def test_a_models_file_with_a_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_bytes(codecs.BOM_UTF8 + BUILT_IN.read_bytes())
    assert read_models_file(path) == read_models_file(BUILT_IN)
    path.write_bytes(codecs.BOM_UTF8 + BUILT_IN.read_bytes().replace(b"\n", b"\r\n"))
    assert read_models_file(path) == read_models_file(BUILT_IN)


@pytest.mark.parametrize("content", in_other_encodings('default = "m"\n'))
def test_a_models_file_in_another_encoding_is_refused_in_one_line(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "models.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"models\.toml: .*save it as UTF-8"):
        read_models_file(path)


def test_an_env_file_with_a_mark_is_read_from_its_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORT", raising=False)
    (tmp_path / ".env").write_bytes(codecs.BOM_UTF8 + b"PORT=8123\r\nMY_KEY=x\r\n")
    assert read_settings().port == 8123
    assert read_environment(Path(".env"))["PORT"] == "8123"


@pytest.mark.parametrize("content", in_other_encodings("PORT=8123\n"))
def test_an_env_file_in_another_encoding_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"^\.env cannot be read: .*save it as UTF-8$"):
        read_settings()


async def test_a_file_of_keys_with_a_mark_is_read_from_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes(codecs.BOM_UTF8 + KEY_LINE.encode())
    async with open_api_key_cache(
        tmp_path, lines=(), lines_file=path, stale_seconds=900.0, clock=SystemClock()
    ) as ring:
        assert ring.degraded() == []


@pytest.mark.parametrize("content", in_other_encodings(KEY_LINE))
async def test_a_file_of_keys_in_another_encoding_is_refused_without_what_it_holds(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"API_KEYS_FILE .*save it as UTF-8") as refused:
        async with open_api_key_cache(
            tmp_path, lines=(), lines_file=path, stale_seconds=900.0, clock=SystemClock()
        ):
            pass
    assert "0000" not in json.dumps(str(refused.value))
