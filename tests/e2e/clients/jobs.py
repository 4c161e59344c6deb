"""Runs the jobs that a test writes to a client's standard input, one a line, and prints each outcome."""

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

QUESTION = "How is the weather where Ana is?"
BOTH = "Where is Ana, and how is the weather in Rome? Find out at once."
PLAIN = "How are you?"
LOOK = "What are these?"
PNG, PDF = b"\x89PNG\r\n\x1a\n" + bytes(16), b"%PDF-1.7\n"

Task = Callable[[str, str], dict[str, Any]]
"""Does something at a base URL with a model."""


def find_city(person: str) -> str:
    """Return the city in which a person is."""
    return {"Ana": "Oslo"}[person]


def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return {"Oslo": "22 °C", "Rome": "31 °C"}[city]


FUNCTIONS: dict[str, Callable[..., str]] = {"find_city": find_city, "get_weather": get_weather}


def run(tasks: Mapping[str, Task]) -> None:
    """Run each job; an error is its outcome."""
    for line in sys.stdin:
        job = json.loads(line)
        try:
            outcome = tasks[job["task"]](job["url"], job["model"])
        except Exception:  # noqa: BLE001 -- the outcome of a job, whatever it is
            outcome = {"error": traceback.format_exc()}
        sys.stdout.write(json.dumps(outcome) + "\n")
