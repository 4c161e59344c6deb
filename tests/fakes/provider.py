"""The misbehaving provider beside the tests, and a catalogue that names its faults."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.selftest.provider import FaultProvider, fault_provider


@contextmanager
def provider_in_thread() -> Iterator[FaultProvider]:
    """Serve on loopback from a thread of its own, until the block ends."""
    started: list[FaultProvider] = []
    is_up = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with fault_provider() as provider:
            started.append(provider)
            is_up.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert is_up.wait(120), "the provider did not start"
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def models_file(path: Path, provider: FaultProvider, faults: Sequence[str]) -> Path:
    """Write a catalogue: `gem-` and `alt-` before a fault ask for it in either format, `safe-` has a fallback."""
    lines = [
        'default = "gem-healthy"',
        f'[providers.gem]\nkind = "gemini"\nbase_url = "{provider.url}"\napi_key_env = "GEM_KEY"',
        f'[providers.alt]\nkind = "openai"\nbase_url = "{provider.url}/v1"',
    ]
    for fault in faults:
        lines += [
            _model(f"gem-{fault}", "gem", fault),
            _model(f"alt-{fault}", "alt", fault),
            _model(f"safe-{fault}", "gem", f"{fault}@safe") + '\nfallbacks = ["alt-healthy"]',
        ]
    path.write_text("\n\n".join(lines), encoding="utf-8")
    return path


def _model(name: str, provider: str, upstream: str) -> str:
    return (
        f'[models."{name}"]\nprovider = "{provider}"\nupstream = "{upstream}"\n'
        "context_tokens = 100000\nmax_output_tokens = 1000\n"
        "input_usd_per_million = 1.0\noutput_usd_per_million = 2.0"
    )
