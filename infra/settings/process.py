"""Settings of the process as a whole."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from infra.settings.group import SettingsGroup


class ProcessSettings(SettingsGroup):
    """Part of every group, since any part of the program may need the environment or the data directory."""

    title = "Process"

    environment: Literal["development", "production"] = Field(
        default="development", description="`production` refuses to start with unsafe settings."
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one."
    )
    data_dir: Path = Field(
        default=Path("data"),
        description="Directory of all local files: the embedded store, the outbox, API keys.",
    )
