"""Measures the delay of the first text of streams, and the resources held after ten thousand of them.

    python -m bench.streams

Needs no network and no key. The first token is measured alternately, straight from the mock provider and through each
door, at a constant rate; the memory while streams of thirty words each run fifty at a time.
"""

import argparse
import asyncio
import statistics
import sys

import orjson
from tqdm import tqdm

from bench.harness import processes
from bench.harness.load import closed_loop, open_loop, post, quantile
from bench.harness.processes import Service, Watched

_MIB = 2**20
_PER_SECOND = 20.0
_AT_ONCE = 50
_SLICE_SECONDS = 2.0
_SETTLED_SHARE = 0.4
"""Share of the streams after which memory has to stay constant: before that, pools and caches fill."""
_DIRECT = "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
_QUESTION = "Explain event loops in one sentence."


def _direct(manner: str) -> bytes:
    text = f"{_QUESTION} {manner}"
    return post(_DIRECT, orjson.dumps({"contents": [{"role": "user", "parts": [{"text": text}]}]}))


def _doors(service: Service, manner: str) -> dict[str, bytes]:
    text = f"{_QUESTION} {manner}"
    native = {"userId": "ana", "userPrompt": text, "stream": True}
    openai = {"user": "ana", "messages": [{"role": "user", "content": text}], "stream": True}
    return {
        path: post(path, orjson.dumps(body), key=service.key)
        for path, body in (("/v1/chat", native), ("/v1/chat/completions", openai))
    }


async def first_words(service: Service, upstream: Watched, *, rounds: int, seconds: float) -> None:
    """Print the time to the first token without the service, and the time that each API adds."""
    manner = "mock(latency=0.05,gap=0.005)"
    ways = {"provider": (upstream.port, _direct(manner))}
    for path, request in _doors(service, manner).items():
        ways[path] = (service.process.port, request)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    with tqdm(total=rounds * len(ways), desc="first tokens", file=sys.stderr) as bar:
        for number in range(rounds + 1):
            for name, (port, request) in ways.items():
                outcome = await open_loop(port, request, per_second=_PER_SECOND, seconds=seconds)
                if outcome.errors:
                    raise RuntimeError(f"{name}: {outcome.statuses}")
                if number:  # the first round warms up
                    taken[name].extend(outcome.first_tokens_seconds)
                    bar.update()
    for name, values in taken.items():
        line = f"{name:21} first token p50 {quantile(values, 0.5) * 1000:6.2f} ms"
        if name != "provider":
            added = (quantile(values, 0.5) - quantile(taken["provider"], 0.5)) * 1000
            line += f", added p50 {added:5.2f} ms"
        print(f"{line}  ({len(values)} streams)")


async def memory(service: Service, *, streams: int) -> None:
    """Print the resources of the process during many streams, and their growth afterwards."""
    requests = list(_doors(service, "mock(chunks=30,gap=0.001)").values())
    process = service.process
    done = 0
    sampled: list[tuple[int, int]] = []
    print(f"{done:6} streams  {process.resident_bytes() / _MIB:6.1f} MiB  {_held(process)}")
    with tqdm(total=streams, desc="streams", file=sys.stderr) as bar:
        while done < streams:
            request = requests[len(sampled) % len(requests)]
            outcome = await closed_loop(
                process.port, request, connections=_AT_ONCE, seconds=_SLICE_SECONDS
            )
            if outcome.errors:
                raise RuntimeError(f"{outcome.statuses}")
            done += outcome.answered
            bar.update(outcome.answered)
            sampled.append((done, process.resident_bytes()))
    await asyncio.sleep(1.0)
    for count, resident in sampled[:: max(1, len(sampled) // 10)]:
        print(f"{count:6} streams  {resident / _MIB:6.1f} MiB")
    print(f"{done:6} streams  {process.resident_bytes() / _MIB:6.1f} MiB  {_held(process)}")
    settled = [(count, size) for count, size in sampled if count >= _SETTLED_SHARE * done]
    slope = statistics.linear_regression(*zip(*settled, strict=True)).slope
    print(
        f"after the first {_SETTLED_SHARE:.0%}: {slope * 10_000 / _MIB:+.2f} MiB for 10 000 streams"
    )


def _held(process: Watched) -> str:
    return f"{process.open_files()} files, {process.threads()} threads"


async def measure(*, rounds: int, seconds: float, streams: int) -> None:
    """Start a provider and the service, and measure both."""
    with processes.provider() as upstream, processes.service(upstream) as service:
        await first_words(service, upstream, rounds=rounds, seconds=seconds)
        await memory(service, streams=streams)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=8, help="turns at each door (8)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of one turn (4)")
    parser.add_argument("--streams", type=int, default=10_000, help="for the memory (10 000)")
    arguments = parser.parse_args()
    asyncio.run(
        measure(rounds=arguments.rounds, seconds=arguments.seconds, streams=arguments.streams)
    )


if __name__ == "__main__":
    main()
