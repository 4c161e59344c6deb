"""The service, told where its garbage collector is settled, with a metrics server that ends while a file is there.

python breakable_service.py BREAKING_FILE serve
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import main  # noqa: E402
from app.process import garbage_collection  # noqa: E402


def breakable(breaking: Path) -> None:
    """Count who settles the collector, and let the metrics server fail at its next look at a clock."""
    from app.server import embedded_server as beside

    freeze_and_resume = garbage_collection.freeze_and_resume
    on_tick = beside.EmbeddedServer.on_tick

    def counted() -> None:
        sys.stdout.write('{"message":"the collector is settled"}\n')
        sys.stdout.flush()
        freeze_and_resume()

    async def failing(self: beside.EmbeddedServer, counter: int) -> bool:
        if breaking.exists():
            raise RuntimeError("broken by a test")
        return await on_tick(self, counter)

    garbage_collection.freeze_and_resume = counted
    beside.EmbeddedServer.on_tick = failing  # type: ignore[method-assign]
    beside.PAUSE_SECONDS = 0.2


if __name__ == "__main__":
    breakable(Path(sys.argv[1]))
    sys.exit(main.main(sys.argv[2:]))
