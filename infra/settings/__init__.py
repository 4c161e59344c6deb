"""All settings of the service, from the environment and `.env`."""

from infra.settings.settings import Settings, allowed_numbers, read_settings

__all__ = ["Settings", "allowed_numbers", "read_settings"]
