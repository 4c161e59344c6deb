"""Reads a hashed lock, as `make lock` writes it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

_ENTRY = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?: ; (?P<marker>[^\\\n]+?))? \\?\n"
    r"(?P<hashes>(?:    --hash=\S+(?: \\)?\n)*)",
    re.MULTILINE,
)
_BEGINS_ENTRY = re.compile(r"^[A-Za-z0-9].*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One package at one version.

    Attributes:
        marker: Where it is installed; None everywhere.
        hashes: SHA-256 of each of its files.
    """

    name: str
    version: str
    marker: Marker | None
    hashes: tuple[str, ...]

    @property
    def is_for_here(self) -> bool:
        """Whether this Python on this system installs it."""
        return self.marker is None or self.marker.evaluate()


def pins_of(lock: Path) -> list[Pin]:
    """Return the content of a lock.

    Raises:
        ValueError: A line is not one package at one version.
    """
    text = lock.read_text(encoding="utf-8")
    pins = [
        Pin(
            name=canonicalize_name(match["name"]),
            version=match["version"],
            marker=Marker(match["marker"]) if match["marker"] else None,
            hashes=tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})(?![0-9a-f])", match["hashes"])),
        )
        for match in _ENTRY.finditer(text)
    ]
    if len(pins) != len(_BEGINS_ENTRY.findall(text)):
        raise ValueError(f"{lock.name} holds something else than packages at one version each")
    return pins


def for_here(pins: Iterable[Pin]) -> dict[str, str]:
    """Return the versions that this Python on this system installs, by name."""
    return {pin.name: pin.version for pin in pins if pin.is_for_here}
