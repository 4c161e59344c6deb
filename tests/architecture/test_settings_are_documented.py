"""`docs/settings.md` and `.env.example` name every setting, with its default, range and meaning."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from docs.generate_settings import EXAMPLE, ROOT, TABLE, default_text, example, own_fields, table
from infra.settings import GROUPS, Settings

FIELDS = Settings.model_fields


def test_every_setting_belongs_to_one_group() -> None:
    grouped = [name for group in GROUPS for name, _ in own_fields(group)]
    assert sorted(grouped) == sorted(name.upper() for name in FIELDS)


@pytest.mark.parametrize(("file", "generated"), [(TABLE, table), (EXAMPLE, example)])
def test_a_generated_file_is_what_make_settings_docs_writes(file: Path, generated: object) -> None:
    assert callable(generated)
    assert file.read_text(encoding="utf-8") == generated()


def test_the_example_names_every_setting_with_its_default_and_no_other() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    shown = dict(re.findall(r"^#([A-Z][A-Z0-9_]*)=(.*)$", text, flags=re.MULTILINE))
    assert shown == {name.upper(): default_text(field) for name, field in FIELDS.items()}


def test_the_example_as_a_settings_file_changes_nothing(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    uncommented = re.sub(r"^#(?=[A-Z][A-Z0-9_]*=)", "", text, flags=re.MULTILINE)
    (tmp_path / "env").write_text(uncommented, encoding="utf-8")
    assert Settings(_env_file=tmp_path / "env") == Settings(_env_file=None)


def test_every_setting_has_a_plain_description() -> None:
    for name, field in FIELDS.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_secrets_are_kept_as_secrets() -> None:
    secret = re.compile(r"key$|secret|password|_uri$")
    for name, field in FIELDS.items():
        if secret.search(name):
            assert SecretStr in getattr(field.annotation, "__args__", (field.annotation,)), name


@pytest.mark.parametrize("readme", ["README.md", "README.pt-BR.md"])
def test_the_readme_names_settings_that_exist_with_their_defaults(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z][A-Z0-9_]*)` \|(.*?)\|", text, flags=re.MULTILINE)
    assert len(rows) > 5
    for name, shown in rows:
        assert shown.strip(" `") == default_text(FIELDS[name.lower()]), name
