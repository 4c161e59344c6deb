"""The sixteen faults of the Failover Bench, through the real chain, as `python main.py selftest` shows them."""

import re

import pytest

from infra.llm.providers.registry import BEDROCK, GEMINI, OPENAI, ProviderKind
from infra.selftest.bench import run
from infra.selftest.cases import CASES
from tests.support.service import command


@pytest.mark.parametrize(
    ("primary", "standby"),
    [(OPENAI, GEMINI), (BEDROCK, OPENAI), (GEMINI, BEDROCK)],
    ids=lambda kind: kind.name,
)
async def test_every_fault_of_the_other_formats_is_handled_as_promised(
    primary: ProviderKind, standby: ProviderKind
) -> None:
    outcomes = await run(lambda _: None, primary=primary, standby=standby)
    assert [outcome for outcome in outcomes if not outcome.has_passed] == []
    assert len(outcomes) == len(CASES) + 1
    numbers = {re.match(r"S\d\d", outcome.title) for outcome in outcomes}
    assert len({match[0] for match in numbers if match}) == 16


def test_the_command_shows_a_table_and_exits_with_0(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    done = command(tmp_path_factory.mktemp("selftest") / "data", "selftest")
    assert done.returncode == 0, done.stderr
    assert {f"S{number:02}" for number in range(1, 18)} <= set(done.stdout.split())
    killed = [
        line.split() for line in done.stdout.splitlines() if "killed" in line or "anew" in line
    ]
    assert [(line[-4], line[-3], line[-1]) for line in killed] == [("primary", "2", "ok")] * 2
    assert "WRONG" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("All ")
