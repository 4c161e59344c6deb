"""Histories that services of earlier versions stored, with what these services showed of them.

`tests/data/earlier_versions` has an archive a version, named after what that version did not have yet. In it are, of the
user `ben`, whose requests were of every kind the version took:

    sqlite/data/…          DATA_DIR of the embedded store
    mongo/…                the collections and indexes of MongoDB, in MongoDB's extended JSON
    dynamodb/…             the items of the table, and the objects of the attachments' bucket
    outbox/data/…          DATA_DIR of a service whose MongoDB was away
    <store>/shown.json     what the service answered to reads of that store; of `outbox`, once it was delivered
    queue.json             the messages of the interactions in `mongo`
    export.jsonl           the file that `export` wrote of `sqlite`
"""

import base64
import json
import tarfile
from pathlib import Path
from typing import Any

import pymongo
from bson import json_util

from tests.support.data_stack import DataStack, client_of

VERSIONS = (
    "before_items",
    "before_attachments",
    "before_responses",
    "before_conversation_records",
    "before_background",
)
INCOMPLETE_EXPORTS = ("before_responses", "before_conversation_records")
"""The first left long texts out of its files, and the second exported no responses of `store: false`."""
CURSOR_SECRET = "a secret of tests, and of no one else"
"""Of all these services: ids of responses and conversations are signed with it."""

_ARCHIVES = Path(__file__).parents[1] / "data" / "earlier_versions"


def unpack(version: str, folder: Path) -> Path:
    """Unpack the archive of a version and return the folder of its content."""
    # Python 3.11 has filters since 3.11.4, and 3.12 warns where none is named.
    options: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(_ARCHIVES / f"{version}.tar.gz") as archive:
        archive.extractall(folder / version, **options)
    return folder / version


def json_in(path: Path) -> Any:
    """Return the content of a JSON file; objects with the one name `$bytes` are bytes."""
    return json.loads(path.read_text(encoding="utf-8"), object_hook=_bytes_in)


def load_mongo(stored: Path, uri: str, database: str, *, only: str = "") -> None:
    """Load the collections whose names begin with `only` into an empty database, with their indexes."""
    collections = json_util.loads((stored / "mongo" / "collections.json").read_text("utf-8"))
    indexes = json_in(stored / "mongo" / "indexes.json")
    with pymongo.MongoClient[dict[str, Any]](uri) as client:
        for name, documents in collections.items():
            if name.startswith(only):
                client[database][name].insert_many(documents)
                for index, options in indexes.get(name, {}).items():
                    _create_index(client[database][name], index, options)


def load_dynamodb(stored: Path, stack: DataStack) -> None:
    """Load the items and objects into a new data stack."""
    dynamodb, s3 = client_of(stack.emulator, "dynamodb"), client_of(stack.emulator, "s3")
    for item in json_in(stored / "dynamodb" / "items.json"):
        dynamodb.put_item(TableName=stack.table, Item=item)
    for item in json_in(stored / "dynamodb" / "objects.json"):
        s3.put_object(
            Bucket=stack.bucket,
            Key=item["key"],
            Body=item["body"],
            ContentType=item["type"],
            Metadata=item["metadata"],
        )


def _create_index(
    collection: pymongo.collection.Collection[dict[str, Any]], name: str, options: dict[str, Any]
) -> None:
    keys = [(field, int(direction)) for field, direction in options["key"]]
    more = {key: value for key, value in options.items() if key not in ("key", "v")}
    collection.create_index(keys, name=name, **more)


def _bytes_in(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["$bytes"]) if value.keys() == {"$bytes"} else value
