"""How AWS, or something that speaks like it, is reached."""

from dataclasses import dataclass, field

EMULATOR_REGION = "us-east-1"
EMULATOR_KEY = "emulator"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsAccess:
    """Where and as whom; what is None is found the way every AWS tool finds it.

    Attributes:
        region: None: the shared configuration's.
        endpoint_url: Another address than the region's own, such as a VPC endpoint or an emulator.
        is_emulator: Whether tables and queues are made here where they are missing; on AWS they are made with the rest
            of the infrastructure. An emulator needs neither a region nor credentials.
        access_key_id: None: the task's role, the instance's, or the shared credentials.
    """

    region: str | None = None
    endpoint_url: str | None = None
    is_emulator: bool = False
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    def client_arguments(self) -> dict[str, str | None]:
        """Return them under the names the driver knows."""
        region, key, secret = self.region, self.access_key_id, self.secret_access_key
        if self.is_emulator:
            region = region or EMULATOR_REGION
            if key is None:
                key = secret = EMULATOR_KEY
        return {
            "region_name": region,
            "endpoint_url": self.endpoint_url,
            "aws_access_key_id": key,
            "aws_secret_access_key": secret,
            "aws_session_token": self.session_token,
        }
