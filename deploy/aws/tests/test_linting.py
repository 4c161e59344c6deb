"""cfn-lint and cdk-nag have nothing to say."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import VARIANTS, Synthesis
from tests.templates import read

CFN_LINT = Path(sys.executable).with_name("cfn-lint")


@pytest.mark.parametrize("variant", VARIANTS)
def test_cfn_lint_finds_nothing(synthesised: Synthesis, variant: str) -> None:
    templates = sorted(synthesised(variant).glob("*.template.json"))
    assert len(templates) == 2
    linted = subprocess.run(
        [CFN_LINT, "--regions", "eu-west-1", "--", *map(str, templates)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("stack", ["rt-data", "rt-app"])
def test_nothing_depends_on_an_account_a_region_or_an_upload(
    synthesised: Synthesis, variant: str, stack: str
) -> None:
    template = read(synthesised(variant), stack)
    assert "Parameters" not in template
    assert "cdk-hnb659fds" not in str(template)
