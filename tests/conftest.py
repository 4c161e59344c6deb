"""Set-up of all tests: assertions of tests.support are explained, AWS service descriptions parsed once per process."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import HealthCheck, settings


def _parse_once(load_file: Callable[[JSONFileLoader, str], Any]) -> Callable[..., Any]:
    @functools.cache
    def parsed(path: str) -> Any:
        return load_file(JSONFileLoader(), path)

    return lambda _loader, path: parsed(path)


# Each client parses some 2 MB of JSON, a quarter of a second of CPU, and most tests of DynamoDB and SQS open a client.
JSONFileLoader.load_file = _parse_once(JSONFileLoader.load_file)

# A slow machine is no fault of a strategy.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

pytest.register_assert_rewrite("tests.support")
