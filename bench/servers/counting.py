"""Runs `main.py serve` of the current folder, and counts the byte code instructions of its event loop.

    python counting.py FILE

A SIGUSR2 begins to count. The next one writes to FILE, as JSON, an item for each function: its file, its name, its
instructions, and its calls, where each continuation of a coroutine counts as one. Threads are not counted.
"""

import json
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


class Counts:
    """Counts while it is the trace function of the thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._instructions: Counter[CodeType] = Counter()
        self._calls: Counter[CodeType] = Counter()

    def switch(self, _signal: int, _frame: object) -> None:
        """Begin to count anew; the next time, write the counts."""
        if not sys.gettrace():
            sys.settrace(self._enter)
            return
        sys.settrace(None)
        unfinished = self._file.with_suffix(".part")
        unfinished.write_text(
            json.dumps(
                [
                    (code.co_filename, code.co_qualname, instructions, self._calls[code])
                    for code, instructions in self._instructions.most_common()
                ]
            )
        )
        unfinished.rename(self._file)
        self._instructions.clear()
        self._calls.clear()

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        self._calls[frame.f_code] += 1
        return self._count

    def _count(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "opcode":
            self._instructions[frame.f_code] += 1
        return self._count


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, Counts(Path(sys.argv[1])).switch)
    sys.argv[:] = ["main.py", "serve"]
    sys.path.insert(0, str(Path.cwd()))
    runpy.run_path("main.py", run_name="__main__")
