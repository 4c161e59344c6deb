"""The sixteen faults of the Failover Bench, through the real chain, with either format before the other."""

import re

import pytest

from infra.llm.catalogue import ProviderKind
from infra.selftest.bench import run
from infra.selftest.cases import CASES
from tests.http.test_command_line import command


@pytest.mark.parametrize("kind", [ProviderKind.GEMINI, ProviderKind.OPENAI])
async def test_every_fault_is_handled_as_promised(kind: ProviderKind) -> None:
    outcomes = await run(lambda _: None, kind)
    assert [outcome for outcome in outcomes if not outcome.is_right] == []
    assert len(outcomes) == len(CASES) + 1
    numbers = {re.match(r"S\d\d", outcome.title) for outcome in outcomes}
    assert len({match[0] for match in numbers if match}) == 16


def test_the_command_shows_a_table_and_exits_with_0(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    done = command(tmp_path_factory.mktemp("selftest") / "data", "selftest")
    assert done.returncode == 0, done.stderr
    assert "S07 silence" in done.stdout
    assert "WRONG" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("All ")
