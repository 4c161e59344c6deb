"""The examples of the page about embeddings run as they stand."""

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.docs.markdown import Block, blocks
from tests.docs.test_clients import PACKAGES, RUNNERS, run
from tests.support.service import Service, running_service

EXAMPLES = [block for block in blocks("docs/embeddings.md") if block.language in RUNNERS]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service") / "data") as service:
        yield service


@pytest.mark.slow
@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: block.language)
def test_an_example_runs_as_it_stands(service: Service, block: Block) -> None:
    assert block.marker == "run"
    if shutil.which(RUNNERS[block.language][0]) is None:
        pytest.skip(f"{RUNNERS[block.language][0]} is not installed")
    if block.language == "javascript" and not (PACKAGES / "node_modules").is_dir():
        pytest.skip("the packages are not installed: npm ci in tests/e2e/js")
    printed = run(service, block)
    if block.language == "sh":
        vectors = [item["embedding"] for item in json.loads(printed)["data"]]
        assert [len(vector) for vector in vectors] == [3, 3]
    else:
        assert printed.split("\n") == ["0 256", "1 256", ""]
