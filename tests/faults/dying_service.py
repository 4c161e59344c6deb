"""The service, which is killed at a given moment in the life of an attachment.

python dying_service.py put|release serve

`put`: after the content is durable, before its interaction is. `release`: after the interaction is erased, before its
content is.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import main  # noqa: E402


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(moment: str) -> None:
    """Kill this process at the moment of that name."""
    from infra.attachments.disk import DiskAttachments
    from infra.attachments.gridfs import GridFsAttachments

    for store in (DiskAttachments, GridFsAttachments):
        put = store.put

        async def put_and_die(self: Any, *args: Any, put: Any = put, **kwargs: Any) -> None:
            await put(self, *args, **kwargs)
            die()

        async def only_die(self: Any, *args: Any) -> None:
            die()

        setattr(store, moment, put_and_die if moment == "put" else only_die)


if __name__ == "__main__":
    dying(sys.argv[1])
    sys.exit(main.main(sys.argv[2:]))
