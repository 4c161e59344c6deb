"""Every setting is named where an operator looks for it, with the default it really has."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from infra.settings import Settings

ROOT = Path(__file__).parents[2]
FIELDS = Settings.model_fields


def example() -> dict[str, tuple[str, str]]:
    """Return each variable of `.env.example` with the comment before it and the value it shows."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    found = re.findall(r"^# (.*)\n#([A-Z][A-Z0-9_]*)=(.*)$", text, flags=re.MULTILINE)
    return {name: (comment, value) for comment, name, value in found}


def as_written(field: FieldInfo) -> str:
    """Return a field's default the way it stands in an environment."""
    default: Any = field.default
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(default)
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float) and default.is_integer():
        return str(int(default))
    return str(default)


def test_the_example_names_every_setting_and_no_other() -> None:
    assert set(example()) == {name.upper() for name in FIELDS}


@pytest.mark.parametrize("name", FIELDS)
def test_the_example_shows_the_default_and_says_what_it_is_for(name: str) -> None:
    assert example()[name.upper()] == (FIELDS[name].description, as_written(FIELDS[name]))


def test_the_example_as_a_settings_file_changes_nothing(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    uncommented = re.sub(r"^#(?=[A-Z][A-Z0-9_]*=)", "", text, flags=re.MULTILINE)
    (tmp_path / "env").write_text(uncommented, encoding="utf-8")
    assert Settings(_env_file=tmp_path / "env") == Settings(_env_file=None)


def test_secrets_are_kept_as_secrets() -> None:
    told = re.compile(r"key$|secret|password|_uri$")
    for name, field in FIELDS.items():
        if told.search(name):
            assert SecretStr in getattr(field.annotation, "__args__", (field.annotation,)), name


@pytest.mark.parametrize("readme", ["README.md", "README.pt-BR.md"])
def test_the_readme_names_settings_that_exist_with_their_defaults(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z][A-Z0-9_]*)` \|(.*?)\|", text, flags=re.MULTILINE)
    assert len(rows) > 10
    for name, shown in rows:
        assert shown.strip(" `") == as_written(FIELDS[name.lower()]), name
