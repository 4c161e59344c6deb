"""All settings of the service, in groups, from the environment and `.env`."""

from infra.settings.settings import GROUPS, Settings, allowed_numbers, read_settings

__all__ = ["GROUPS", "Settings", "allowed_numbers", "read_settings"]
