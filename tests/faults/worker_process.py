"""A worker in a process of its own, to be stopped and killed by a test."""

import argparse
import asyncio
import os
import sys

from app.worker import Worker, run_until_signalled
from domain.use_cases.record_interaction import RecordInteraction
from infra.clock import SystemClock
from infra.history.dynamodb.store import open_dynamo
from infra.history.sqs.consumer import open_queues
from infra.history.sqs.queue_setup import SqsNames
from infra.storage.aws.access import AwsAccess
from tests.fakes.queue_observer import RecordingQueueObserver

READ_SECONDS = 10.0


async def main() -> None:
    """Work until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--queue", required=True, help="the queue's URL")
    parser.add_argument("--sqs", required=True, help="the URL of the emulator it is in")
    parser.add_argument("--table", required=True, help="the DynamoDB table")
    parser.add_argument("--dynamodb", required=True, help="the URL of the emulator it is in")
    parser.add_argument("--hold-seconds", type=int, default=60)
    arguments = parser.parse_args()
    clock = SystemClock()
    async with (
        open_dynamo(
            AwsAccess(endpoint_url=arguments.dynamodb, is_emulator=True),
            table=arguments.table,
            clock=clock,
            read_seconds=READ_SECONDS,
        ) as history,
        open_queues(
            AwsAccess(endpoint_url=arguments.sqs, is_emulator=True),
            SqsNames.from_urls(arguments.queue, None),
            clock=clock,
            hold_seconds=arguments.hold_seconds,
        ) as queues,
    ):
        record = RecordInteraction(queues.queue, history, clock, RecordingQueueObserver())
        os.write(sys.stdout.fileno(), b"working\n")
        await run_until_signalled(Worker(record, queues.queue, clock))


if __name__ == "__main__":
    asyncio.run(main())
