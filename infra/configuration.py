"""Environment variables, and the error for invalid configuration."""

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

ENV_FILE = ".env"
ENV_FILE_ENCODING = "utf-8-sig"
"""UTF-8 with an optional byte order mark."""


class ConfigurationError(Exception):
    """Invalid configuration; the service does not start.

    The message is one line for the operator: it names the file or setting and the correction, and contains no secret.
    """


def read_environment(env_file: Path) -> Mapping[str, str]:
    """Return all environment variables and those of `env_file`; the environment takes precedence.

    For variables whose names are configured, such as those of API keys. Empty values count as not set; a missing
    file as empty.
    """
    return {
        name: value
        for source in (dotenv_values(env_file, encoding=ENV_FILE_ENCODING), os.environ)
        for name, value in source.items()
        if value
    }
