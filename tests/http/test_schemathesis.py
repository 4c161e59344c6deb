"""Requests made up from the API's own description, good and bad ones: every answer is what it says."""

from pathlib import Path

import pytest

from tests.support.schema_cases import authorised, cases
from tests.support.service import running_service


@pytest.mark.slow
def test_without_authentication(data_dir: Path, tmp_path: Path) -> None:
    with running_service(data_dir) as service:
        assert cases(service, tmp_path, "-n", "8", "--seed", "1") > 300


def test_with_a_key(data_dir: Path, tmp_path: Path) -> None:
    settings, options = authorised(data_dir)
    with running_service(data_dir, settings) as service:
        assert cases(service, tmp_path, "-n", "8", "--seed", "2", *options) > 300


def test_without_the_key_that_is_asked_for(data_dir: Path, tmp_path: Path) -> None:
    settings, _ = authorised(data_dir)
    with running_service(data_dir, settings) as service:
        assert cases(service, tmp_path, "-n", "3", "--seed", "3") > 100
