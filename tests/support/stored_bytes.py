"""All that an installation stores, as bytes: files, documents, items, objects and messages, compressed ones decompressed."""

import base64
import binascii
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pymongo
from bson.raw_bson import RawBSONDocument

from tests.support.data_stack import DataStack, client_of

Stored = tuple[str, bytes]
"""Where it is, and its bytes."""

_BATCH = 10


def stored_in_files(folder: Path) -> Iterator[Stored]:
    """Yield the content of every file below a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


def stored_in_mongodb(uri: str, database: str) -> Iterator[Stored]:
    """Yield every document of a database, GridFS included, and every write to it that the server's log of operations has."""
    with pymongo.MongoClient[RawBSONDocument](uri, document_class=RawBSONDocument) as client:
        for name in client[database].list_collection_names():
            for document in client[database][name].find():
                yield name, bytes(document.raw)  # the driver gives a view of long ones
        for entry in client["local"]["oplog.rs"].find():
            raw = bytes(entry.raw)
            if database.encode() in raw:
                yield "oplog", raw


def stored_in_aws(stack: DataStack) -> Iterator[Stored]:
    """Yield every item of a stack's table, object of its bucket, and message of its queues, which stay in them."""
    yield from _items(stack)
    yield from _objects(stack)
    for url in (stack.queues.queue_url, stack.queues.dead_letter_url):
        yield from _messages(stack, url)


def _items(stack: DataStack) -> Iterator[Stored]:
    pages = client_of(stack.emulator, "dynamodb").get_paginator("scan")
    for page in pages.paginate(TableName=stack.table):
        for item in page["Items"]:
            for name, typed in item.items():
                ((kind, value),) = typed.items()
                text = value if kind == "B" else json.dumps(value, default=repr).encode()
                yield f"item {name}", text
                if kind == "B":
                    yield from _decompressed(f"item {name}", value)


def _objects(stack: DataStack) -> Iterator[Stored]:
    s3 = client_of(stack.emulator, "s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=stack.bucket):
        for found in page.get("Contents", ()):
            answer = s3.get_object(Bucket=stack.bucket, Key=found["Key"])
            described = json.dumps(answer["Metadata"]).encode()
            yield f"object {found['Key']}", described + answer["Body"].read()


def _messages(stack: DataStack, url: str) -> Iterator[Stored]:
    sqs = client_of(stack.emulator, "sqs")
    received = []
    while found := sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=_BATCH,
        WaitTimeSeconds=0,  # a queue of the template makes a receive wait 20 s for a message
        VisibilityTimeout=600,
        AttributeNames=["All"],
        MessageAttributeNames=["All"],
    ).get("Messages"):
        received += found
    for message in received:
        sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )
        attributes = json.dumps(message.get("MessageAttributes", {}), default=repr)
        yield "message", (message["Body"] + attributes).encode()
        packed = json.loads(message["Body"]).get("zlib", "")
        try:
            yield from _decompressed("message", base64.b64decode(packed, validate=True))
        except binascii.Error:
            continue


def _decompressed(name: str, content: bytes) -> Iterator[Stored]:
    try:
        yield f"{name}, decompressed", zlib.decompress(content)
    except zlib.error:
        return
