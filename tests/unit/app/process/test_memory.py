"""Freed blocks go back to the system."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import os
from pathlib import Path
from app.process.memory import return_large_blocks

def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

return_large_blocks()
blocks = [os.urandom(24 * 2**20)]
blocks.clear()
before = resident()
blocks = [os.urandom(20 * 2**20), b"small" * 100]
del blocks[0]
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_large_block_that_is_freed_is_returned_to_the_system() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) < 2**20
