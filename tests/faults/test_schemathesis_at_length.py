"""Twenty thousand requests made up from the API's own description, with and without credentials."""

from pathlib import Path

import pytest

from tests.support.schema_cases import authorised, cases
from tests.support.service import running_service

CASES = 20_000
SEEDS = 100


@pytest.mark.faults
def test_twenty_thousand_cases_without_a_failure(tmp_path: Path) -> None:
    folders = [tmp_path / "open", tmp_path / "guarded"]
    for folder in folders:
        folder.mkdir()
    settings, options = authorised(folders[1] / "data")
    done = 0
    with (
        running_service(folders[0] / "data") as unguarded,
        running_service(folders[1] / "data", settings) as guarded,
    ):
        for seed in range(SEEDS):
            done += cases(unguarded, folders[0], "-n", "300", "--seed", str(seed))
            done += cases(guarded, folders[1], "-n", "300", "--seed", str(seed), *options)
            if done >= CASES:
                return
    pytest.fail(f"only {done} cases")
