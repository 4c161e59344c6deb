"""Packages that a requirements file pins."""

import re

from tests.support.source_files import ROOT

PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", re.MULTILINE)


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(file: str) -> dict[str, str]:
    """Return the packages a requirements file pins, by their normalised names."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return {normalised(name): version for name, version in PINNED.findall(text)}
