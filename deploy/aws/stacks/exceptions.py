"""Where the rules of cdk-nag's AwsSolutions do not hold, and why that is right."""

from aws_cdk import Acknowledgment, App, Validations

from stacks.bedrock import model_arns
from stacks.data import ATTACHMENT_PREFIXES
from stacks.parameters import Parameters

_ENVIRONMENT = (
    "Settings that are no secrets stand in the task definition; secrets come from Secrets Manager."
)
_TOKEN = (
    "ecr:GetAuthorizationToken knows no resource; every other action of this role names its own."
)
_CREDENTIALS = "The service checks API keys and tokens itself, the same wherever it runs."
_OBJECTS = (
    "Objects are named by user and attachment; the service reads and writes below three prefixes."
)
_REGIONS = "An inference profile calls its model in regions that AWS chooses; the role may call it through the profile alone."
_BUCKET = "rt-data:ExportsOutputFnGetAttAttachments87B238D3Arn6729C3C8"

# Below this construct, this rule of AwsSolutions, for this reason.
_PROVIDER_KEYS = (
    "rt-data/ProviderKeys",
    "SMG4",
    "Providers give keys by hand; a new one is put in and the service redeployed.",
)
_EXCEPTIONS = (
    ("rt-data/ApiKeys", "SMG4", "Hashes of keys, each with an end of its own."),
    ("rt-data/CursorSecret", "SMG4", "A new one would make every cursor in use invalid."),
    (
        "rt-data/Attachments",
        "S1",
        "Requests come from the service alone, which logs what was asked for.",
    ),
    *(
        ("rt-app/Tasks/ApiTask/TaskRole", f"IAM5[Resource::{_BUCKET}/{prefix}*]", _OBJECTS)
        for prefix in ATTACHMENT_PREFIXES
    ),
    ("rt-app/Balancer/AccessLogs", "S1", "It holds access logs and nothing else."),
    ("rt-app/Tasks/ApiTask", "ECS2", _ENVIRONMENT),
    ("rt-app/Tasks/WorkerTask", "ECS2", _ENVIRONMENT),
    ("rt-app/Tasks/ApiTask/ExecutionRole", "IAM5[Resource::*]", _TOKEN),
    ("rt-app/Tasks/WorkerTask/ExecutionRole", "IAM5[Resource::*]", _TOKEN),
    (
        "rt-app/Edge/Api",
        "APIG2",
        "The service validates every request, and answers with its own problem format.",
    ),
    (
        "rt-app/Edge/Api/CloudWatchRole",
        "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]",
        "The gateway writes its logs with the policy AWS made for that.",
    ),
    ("rt-app/Edge/Api", "APIG4", _CREDENTIALS),
    ("rt-app/Edge/Api", "COG4", _CREDENTIALS),
)


def acknowledge_exceptions(app: App, parameters: Parameters) -> None:
    """Register the exceptions with cdk-nag."""
    everything = {construct.node.path: construct for construct in app.node.find_all()}
    exceptions = [*_EXCEPTIONS]
    if parameters.providers:
        exceptions.append(_PROVIDER_KEYS)
    wildcards = {
        arn
        for model in parameters.bedrock_models
        for arn in model_arns(model, partition="<AWS::Partition>", region="")
        if "*" in arn
    }
    for arn in sorted(wildcards):
        exceptions.append(("rt-app/Tasks/ApiTask/TaskRole", f"IAM5[Resource::{arn}]", _REGIONS))
    for path, rule, reason in exceptions:
        Validations.of(everything[path]).acknowledge(
            Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=reason)
        )
