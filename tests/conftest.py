"""Set-up of all tests: assertions of tests.support are explained, and AWS service descriptions parsed once per process."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader


def _parse_once(load_file: Callable[[JSONFileLoader, str], Any]) -> Callable[..., Any]:
    @functools.cache
    def parsed(path: str) -> Any:
        return load_file(JSONFileLoader(), path)

    return lambda _loader, path: parsed(path)


# Each client parses some 2 MB of JSON, a quarter of a second of CPU, and most tests of DynamoDB and SQS open a client.
JSONFileLoader.load_file = _parse_once(JSONFileLoader.load_file)

pytest.register_assert_rewrite("tests.support")
