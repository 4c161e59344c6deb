"""What the operator set up, and what is wrong with it."""

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

ENV_FILE = ".env"
ENV_FILE_ENCODING = "utf-8-sig"
"""UTF-8; a byte order mark at the start is passed over."""


class ConfigurationError(Exception):
    """The operator has to change something; the service does not start.

    Its text is one line, shown as it is: it names the file or setting and says what to do, and holds no secret.
    """


def read_environment(env_file: Path) -> Mapping[str, str]:
    """Return every variable, as the settings see them: those of the process before those of the file.

    For variables whose names only the operator knows. Empty ones count as not set; a missing file has none.
    """
    return {
        name: value
        for source in (dotenv_values(env_file, encoding=ENV_FILE_ENCODING), os.environ)
        for name, value in source.items()
        if value
    }
