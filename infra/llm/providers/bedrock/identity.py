"""The identity, region and guardrail of calls of Amazon Bedrock."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsIdentity:
    """The identity that the requests of one provider are signed with.

    Attributes:
        region: The region whose models are called.
        role_arn: A role to assume; None: the requests are signed with the credentials that were found.
        access_key_id: None: the credentials are found as all AWS tools find them, such as the role of the task or
            machine.
        secret_access_key: The secret of `access_key_id`.
        session_token: Goes with temporary credentials.
    """

    region: str
    role_arn: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """A guardrail that checks requests and answers.

    Attributes:
        id: Its id or ARN.
        version: A number, or `DRAFT`.
        trace: Whether the reports about an answer say what it found; None: the default of the API.
    """

    id: str
    version: str
    trace: str | None = None


def default_url(region: str) -> str:
    """Return the address of the service in a region."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://bedrock-runtime.{region}.{suffix}"
