"""How far a copy is, in a small file."""

import logging
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from domain.entities.checksum import Checksum
from domain.entities.copy_progress import CopyProgress, Position
from domain.entities.stored_record import InteractionKey
from domain.interfaces.copy_state import CopyState
from infra.storage.private_files import make_private_file, make_private_folder

logger = logging.getLogger(__name__)


class CopyFile(CopyState):
    """One file for each pair of source and target; removed when the copy is finished.

    It need not survive a power cut: a copy that starts at the beginning is as right, only slower.
    """

    def __init__(self, folder: Path, source: str, target: str) -> None:
        """Keep the state of this copy.

        Args:
            folder: Where; made where it is missing.
            source: What is copied, and which state of it: another makes another copy.
            target: Where to.
        """
        self._of = sha256(orjson.dumps([source, target])).hexdigest()[:32]
        self._path = folder / f"copy-{self._of}.json"

    def load(self) -> CopyProgress | None:
        try:
            return _progress_of(orjson.loads(self._path.read_bytes()))
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def save(self, progress: CopyProgress) -> None:
        # Written beside and put in place, so that a process killed meanwhile leaves the one before.
        beside = self._path.with_suffix(".new")
        try:
            make_private_folder(self._path.parent)
            make_private_file(beside)
            beside.write_bytes(orjson.dumps(_plain(progress), default=tuple))
            beside.replace(self._path)
        except OSError as error:
            logger.warning("how far the copy is cannot be noted: %s", error)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


def _plain(progress: CopyProgress) -> dict[str, Any]:
    plain = asdict(progress)
    for side in ("source", "target"):
        plain[side]["total"] = f"{plain[side]['total']:x}"
    return plain


def _progress_of(plain: dict[str, Any]) -> CopyProgress:
    position = plain["position"]
    place = position["place"]
    return CopyProgress(
        position=Position(
            place=None if place is None else InteractionKey(*place),
            offset_bytes=position["offset_bytes"],
            line=position["line"],
        ),
        source=_checksum_of(plain["source"]),
        target=_checksum_of(plain["target"]),
        erased=plain["erased"],
        expired=plain["expired"],
        invalid=plain["invalid"],
        erasures=plain["erasures"],
        differing=plain["differing"],
        differing_places=tuple([InteractionKey(*one) for one in plain["differing_places"]]),
    )


def _checksum_of(plain: dict[str, Any]) -> Checksum:
    return Checksum(count=plain["count"], total=int(plain["total"], 16))
