"""The tasks of the one image: the API, and the worker that writes from the queue to the table."""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from stacks.bedrock import models_toml
from stacks.data import DataStack
from stacks.network import Network
from stacks.parameters import PORT, PREFIX, Parameters

STOP_SECONDS = 120
"""From SIGTERM to SIGKILL, the most that Fargate allows, and how long the load balancer waits for a task's streams."""

BALANCER_IDLE_SECONDS = 310
"""Longer than the gateway's five minutes, so that the gateway closes the connection first."""

METRICS_PORT = 9000
"""Port of the worker, which has no other; only its own health check uses it."""

_USER = "10001:10001"


class Tasks(Construct):
    """Makes task definitions and services of the image; both kinds get the same store and the same limits."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        parameters: Parameters,
        data: DataStack,
        network: Network,
    ) -> None:
        super().__init__(scope, construct_id)
        self._parameters = parameters
        self._data = data
        self._network = network
        self._repository = ecr.Repository.from_repository_name(self, "Image", f"{PREFIX}-genai")
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            vpc=network.vpc,
            cluster_name=PREFIX,
            container_insights_v2=ecs.ContainerInsights.ENABLED,
        )

    def make_task(
        self,
        name: str,
        *,
        cpu: int,
        memory_mib: int,
        port: int | None = None,
        environment: dict[str, str],
        secrets: dict[str, ecs.Secret],
        permissions: Sequence[iam.PolicyStatement],
    ) -> ecs.FargateTaskDefinition:
        """Return a container that runs `python main.py <name>`, with a read-only root and an ephemeral volume."""
        task = ecs.FargateTaskDefinition(
            self,
            f"{name.capitalize()}Task",
            cpu=cpu,
            memory_limit_mib=memory_mib,
            family=f"{PREFIX}-{name}",
        )
        for permission in permissions:
            task.add_to_task_role_policy(permission)
        task.add_volume(name="data")
        container = task.add_container(
            name,
            container_name=name,
            image=ecs.ContainerImage.from_ecr_repository(
                self._repository, self._parameters.image_tag
            ),
            command=["serve" if name == "api" else name],
            user=_USER,
            readonly_root_filesystem=True,
            stop_timeout=Duration.seconds(STOP_SECONDS),
            environment=self._store() | environment,
            secrets=secrets,
            port_mappings=[ecs.PortMapping(container_port=port)] if port else None,
            health_check=_alive(port or METRICS_PORT),
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix=name,
                log_group=self._data.log_groups[name],
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,  # a slow log service must not stop answers
            ),
        )
        container.add_mount_points(
            ecs.MountPoint(container_path="/data", source_volume="data", read_only=False)
        )
        return task

    def make_service(
        self,
        name: str,
        task: ecs.FargateTaskDefinition,
        group: ec2.SecurityGroup,
        *,
        count: int,
        health_grace_seconds: int | None = None,
    ) -> ecs.FargateService:
        """Return a service that is rolled back when its new tasks do not become healthy."""
        return ecs.FargateService(
            self,
            f"{name.capitalize()}Service",
            service_name=name,
            cluster=self.cluster,
            task_definition=task,
            desired_count=count,
            security_groups=[group],
            vpc_subnets=self._network.private,
            min_healthy_percent=100,
            max_healthy_percent=200,
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
            health_check_grace_period=(
                Duration.seconds(health_grace_seconds) if health_grace_seconds else None
            ),
        )

    def make_secrets(self) -> dict[str, ecs.Secret]:
        """Return the settings that the API gets from secrets; their values are in no template and no task definition."""
        data = self._data
        secrets: dict[str, ecs.Secret] = {}
        if data.provider_keys is not None:
            secrets |= {
                name: _field(data.provider_keys, name) for name in self._parameters.providers
            }
        secrets["CURSOR_SECRET"] = ecs.Secret.from_secrets_manager(data.cursor_secret)
        if "api_keys" in self._parameters.authentication:
            secrets["API_KEYS"] = ecs.Secret.from_secrets_manager(data.api_keys)
        return secrets

    def _store(self) -> dict[str, str]:
        data = self._data
        return {
            "ENVIRONMENT": "production",
            "AWS_REGION": data.region,
            "DYNAMODB_TABLE": data.table.table_name,
            "ATTACHMENTS_BUCKET": data.attachments.bucket_name,
            "SQS_QUEUE_URL": data.queue.queue_url,
            "SQS_DLQ_URL": data.dead_letters.queue_url,
            # the disk is ephemeral: interactions that the queue does not accept go straight to the table
            "OUTBOX_ENABLED": "false",
            "METRICS_EMF_ENABLED": "true",
        }

    def api_environment(self) -> dict[str, str]:
        """Return the settings that only the API needs."""
        parameters, vpc = self._parameters, self._network.vpc
        return (
            parameters.jwt
            | self._models()
            | {
                "HOST": "0.0.0.0",  # noqa: S104 - reachable by the load balancer alone
                "PORT": str(PORT),
                "AUTHENTICATION": str(parameters.authentication),
                "TRUSTED_PROXIES": vpc.vpc_cidr_block,
                "KEEP_ALIVE_SECONDS": str(BALANCER_IDLE_SECONDS + 10),
                "SHUTDOWN_GRACE_SECONDS": str(STOP_SECONDS - 10),
            }
        )

    def _models(self) -> dict[str, str]:
        """Return the setting with the text of the models file; empty for the built-in one."""
        models = self._parameters.bedrock_models
        if not models:
            return {}
        has_others = bool(self._parameters.providers)
        text = models_toml(
            models,
            self._data.region,
            has_others=has_others,
            guardrail=self._parameters.bedrock_guardrail,
        )
        return {"MODELS_TOML": text}


def _alive(port: int) -> ecs.HealthCheck:
    return ecs.HealthCheck(
        command=["CMD", "python", "-m", "app.cli.healthcheck", str(port)],
        interval=Duration.seconds(10),
        timeout=Duration.seconds(5),
        retries=3,
        start_period=Duration.seconds(30),
    )


def _field(secret: secretsmanager.Secret, name: str) -> ecs.Secret:
    return ecs.Secret.from_secrets_manager(secret, field=name)
