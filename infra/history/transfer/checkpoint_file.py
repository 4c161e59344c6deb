"""The progress of a copy, in a small file."""

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


class CheckpointFile(CopyState):
    """One file for each pair of source and target; removed when the copy is finished.

    It need not survive a power failure: a copy that starts again has the same result.
    """

    def __init__(self, folder: Path, source: str, target: str) -> None:
        """Use the state file of one copy.

        Args:
            folder: The folder of the file; created if missing.
            source: Identifies the source and its state; another state is another copy.
            target: Identifies the target.
        """
        self._of = sha256(orjson.dumps([source, target])).hexdigest()[:32]
        self._path = folder / f"copy-{self._of}.json"

    def load(self) -> CopyProgress | None:
        try:
            return _progress_of(orjson.loads(self._path.read_bytes()))
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def save(self, progress: CopyProgress) -> None:
        # Written to another file and renamed, so that a killed process leaves the previous state.
        new_file = self._path.with_suffix(".new")
        try:
            make_private_folder(self._path.parent)
            make_private_file(new_file)
            new_file.write_bytes(orjson.dumps(_plain(progress), default=tuple))
            new_file.replace(self._path)
        except OSError as error:
            logger.warning("the progress of the copy cannot be saved: %s", error)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


def _plain(progress: CopyProgress) -> dict[str, Any]:
    plain = asdict(progress)
    for side in ("source", "target"):
        plain[side]["total"] = f"{plain[side]['total']:x}"
    # The names that earlier versions wrote.
    plain["position"]["place"] = plain["position"].pop("last_key")
    plain["differing_places"] = plain.pop("differing_keys")
    return plain


def _progress_of(plain: dict[str, Any]) -> CopyProgress:
    position = plain["position"]
    last_key = position["place"]
    return CopyProgress(
        position=Position(
            last_key=None if last_key is None else InteractionKey(*last_key),
            offset_bytes=position["offset_bytes"],
            line=position["line"],
        ),
        source=_checksum_of(plain["source"]),
        target=_checksum_of(plain["target"]),
        erased=plain["erased"],
        expired=plain["expired"],
        invalid=plain["invalid"],
        missing=plain.get("missing", 0),
        erasures=plain["erasures"],
        differing=plain["differing"],
        differing_keys=tuple([InteractionKey(*key) for key in plain["differing_places"]]),
    )


def _checksum_of(plain: dict[str, Any]) -> Checksum:
    return Checksum(count=plain["count"], total=int(plain["total"], 16))
