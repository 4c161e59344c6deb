"""The event loops the server runs on: uvloop where it exists, asyncio's own elsewhere."""

import asyncio

import pytest
import uvloop

LOOPS = [
    pytest.param(asyncio.new_event_loop, id="asyncio"),
    pytest.param(uvloop.new_event_loop, id="uvloop"),
]
