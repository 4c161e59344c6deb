"""Parameters of a deployment, read from the CDK context (`cdk.json`, or `-c name=value`)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from constructs import Node

from stacks.bedrock import Guardrail, is_model

PREFIX = "rt"
"""Prefix of all names that have to be known before anything is deployed."""

PORT = 8000

PROVIDER_KEYS = frozenset({"GEMINI_API_KEY", "OPENROUTER_API_KEY", "OPENAI_API_KEY"})

BEDROCK = "bedrock"
"""Among the providers: models of Amazon Bedrock, called with the role of the tasks instead of a key."""


class Authentication(StrEnum):
    """Authentication methods; `none` is not available for a public service."""

    API_KEYS = "api_keys"
    JWT = "jwt"
    BOTH = "api_keys,jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Sizes and limits of a deployment.

    Attributes:
        api_cpu: In 1/1024 of a core; the service is one process, so more than 1024 is not used.
        api_least: Tasks, at least one per availability zone.
        chats_per_task: Mean number of chats in flight per task above which another is added.
        requests_per_task_minute: The same for requests.
        nat_gateways: One is cheaper, three survive the loss of any zone.
        has_interface_endpoints: Keep AWS's own traffic off the NAT gateways; pays from about 2.5 TB a month.
        throttle_per_second: Requests that the gateway accepts; the burst is twice that.
    """

    api_cpu: int
    api_memory_mib: int
    api_least: int
    api_most: int
    worker_cpu: int
    worker_memory_mib: int
    worker_least: int
    worker_most: int
    chats_per_task: int
    requests_per_task_minute: int
    nat_gateways: int
    has_interface_endpoints: bool
    throttle_per_second: int


_SMALL = Size(
    api_cpu=256,
    api_memory_mib=512,
    api_least=3,
    api_most=6,
    worker_cpu=256,
    worker_memory_mib=512,
    worker_least=1,
    worker_most=3,
    chats_per_task=100,
    requests_per_task_minute=2_000,
    nat_gateways=1,
    has_interface_endpoints=False,
    throttle_per_second=100,
)
_MEDIUM = Size(
    api_cpu=1024,
    api_memory_mib=2048,
    api_least=3,
    api_most=20,
    worker_cpu=512,
    worker_memory_mib=1024,
    worker_least=2,
    worker_most=10,
    chats_per_task=400,
    requests_per_task_minute=6_000,
    nat_gateways=3,
    has_interface_endpoints=False,
    throttle_per_second=500,
)
_LARGE = Size(
    api_cpu=1024,
    api_memory_mib=2048,
    api_least=6,
    api_most=100,
    worker_cpu=1024,
    worker_memory_mib=2048,
    worker_least=3,
    worker_most=30,
    chats_per_task=400,
    requests_per_task_minute=6_000,
    nat_gateways=3,
    has_interface_endpoints=True,
    throttle_per_second=2_000,
)
SIZES = {"small": _SMALL, "medium": _MEDIUM, "large": _LARGE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The domain name. Without one clients use the gateway's address, and the load balancer speaks plain HTTP inside the VPC.

    Attributes:
        certificate_arn: Of ACM, in the stack's region, for `name`.
        hosted_zone_id: Where the record is made; None leaves that to the operator.
    """

    name: str
    certificate_arn: str
    hosted_zone_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Everything that differs between two deployments.

    Attributes:
        image_tag: In the repository that `rt-data` makes.
        providers: Names of keys in the secret `rt/providers` that tasks get; without any there is no such secret.
        bedrock_models: Ids of models or inference profiles of Bedrock that tasks may call.
        bedrock_guardrail: Checks their requests and answers; None: without one.
        jwt: Issuer, audience and key set, as the service's settings of those names.
        alarm_email: Recipient of alarms; None if the operator subscribes recipients.
        is_protected: Tables cannot be deleted and outlive their stack.
    """

    size: Size
    image_tag: str
    authentication: Authentication
    providers: tuple[str, ...]
    bedrock_models: tuple[str, ...]
    bedrock_guardrail: Guardrail | None
    jwt: dict[str, str]
    domain: Domain | None
    alarm_email: str | None
    is_protected: bool


class BadParameter(ValueError):
    """An invalid value of the context."""


def read_parameters(node: Node) -> Parameters:
    """Return the parameters of the context.

    Raises:
        BadParameter: One is missing or invalid; the message names it.
    """
    size = _text(node, "size") or "small"
    if size not in SIZES:
        raise BadParameter(f"size is {size}, not one of {', '.join(SIZES)}")
    try:
        authentication = Authentication(_text(node, "authentication") or "api_keys")
    except ValueError as exc:
        raise BadParameter("authentication is not api_keys, jwt or api_keys,jwt") from exc
    providers = tuple((_text(node, "providers") or "GEMINI_API_KEY").split(","))
    if not set(providers) <= PROVIDER_KEYS | {BEDROCK}:
        known = ", ".join([*sorted(PROVIDER_KEYS), BEDROCK])
        raise BadParameter(f"providers are not among {known}")
    return Parameters(
        size=SIZES[size],
        image_tag=_text(node, "imageTag") or "latest",
        authentication=authentication,
        providers=tuple(name for name in providers if name != BEDROCK),
        bedrock_models=_bedrock_models(node, is_used=BEDROCK in providers),
        bedrock_guardrail=_bedrock_guardrail(node, is_used=BEDROCK in providers),
        jwt=_jwt(node) if "jwt" in authentication else {},
        domain=_domain(node),
        alarm_email=_text(node, "alarmEmail"),
        is_protected=_text(node, "protected") != "false",
    )


def _text(node: Node, name: str) -> str | None:
    value: Any = node.try_get_context(name)
    return str(value) if value else None


def _bedrock_models(node: Node, *, is_used: bool) -> tuple[str, ...]:
    named = _text(node, "bedrockModels")
    if is_used is not (named is not None):
        raise BadParameter("providers=bedrock needs bedrockModels, and these need it")
    models = tuple(named.split(",")) if named is not None else ()
    if len(set(models)) < len(models) or not all(map(is_model, models)):
        raise BadParameter("bedrockModels are not different ids of models or inference profiles")
    return models


def _bedrock_guardrail(node: Node, *, is_used: bool) -> Guardrail | None:
    named = _text(node, "bedrockGuardrail")
    if named is None:
        return None
    guardrail = Guardrail.parse(named)
    if guardrail is None or not is_used:
        raise BadParameter("bedrockGuardrail is not id:version, or providers has no bedrock")
    return guardrail


def _jwt(node: Node) -> dict[str, str]:
    named = {
        "JWT_ISSUER": _text(node, "jwtIssuer"),
        "JWT_AUDIENCE": _text(node, "jwtAudience"),
        "JWKS_URL": _text(node, "jwksUrl"),
    }
    given = {name: value for name, value in named.items() if value is not None}
    if len(given) < len(named):
        raise BadParameter("jwt needs jwtIssuer, jwtAudience and jwksUrl")
    return given


def _domain(node: Node) -> Domain | None:
    name, certificate_arn = _text(node, "domainName"), _text(node, "certificateArn")
    if name is None:
        return None
    if certificate_arn is None:
        raise BadParameter("domainName needs certificateArn")
    return Domain(
        name=name, certificate_arn=certificate_arn, hosted_zone_id=_text(node, "hostedZoneId")
    )
