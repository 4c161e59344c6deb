"""The internal load balancer in front of the API."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.network import Network
from stacks.parameters import PORT, Domain
from stacks.tasks import BALANCER_IDLE_SECONDS, STOP_SECONDS

_LOG_DELIVERY = "logdelivery.elasticloadbalancing.amazonaws.com"


def listener_port(domain: Domain | None) -> int:
    """Return the port: that of HTTPS if there is a domain name with a certificate."""
    return 443 if domain else 80


class Balancer(Construct):
    """Sends each request to a healthy task, and lets a stopping task finish its streams.

    Attributes:
        balancer: Reachable from the gateway's link only.
        targets: The API's tasks.
    """

    def __init__(
        self, scope: Construct, construct_id: str, network: Network, domain: Domain | None
    ) -> None:
        super().__init__(scope, construct_id)
        self.balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=network.vpc,
            internet_facing=False,
            security_group=network.balancer,
            vpc_subnets=network.private,
            idle_timeout=Duration.seconds(BALANCER_IDLE_SECONDS),
            drop_invalid_header_fields=True,
            deletion_protection=False,
        )
        self._log_access()
        self.targets = elb.ApplicationTargetGroup(
            self,
            "Targets",
            vpc=network.vpc,
            port=PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            target_type=elb.TargetType.IP,
            load_balancing_algorithm_type=elb.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
            deregistration_delay=Duration.seconds(STOP_SECONDS),
            health_check=elb.HealthCheck(
                path="/health/ready",
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=2,
            ),
        )
        listener = self._make_listener(domain)
        # metrics are scraped inside the VPC only
        listener.add_action(
            "NoMetrics",
            priority=1,
            conditions=[elb.ListenerCondition.path_patterns(["/metrics"])],
            action=elb.ListenerAction.fixed_response(404),
        )

    def attach(self, service: ecs.FargateService) -> None:
        """Register a service's tasks as targets."""
        service.attach_to_application_target_group(self.targets)

    def _make_listener(self, domain: Domain | None) -> elb.ApplicationListener:
        secure = (
            {
                "certificates": [
                    acm.Certificate.from_certificate_arn(
                        self, "Certificate", domain.certificate_arn
                    )
                ],
                "ssl_policy": elb.SslPolicy.RECOMMENDED_TLS,
            }
            if domain
            else {}
        )
        protocol = elb.ApplicationProtocol.HTTPS if domain else elb.ApplicationProtocol.HTTP
        return self.balancer.add_listener(
            "Listener",
            port=listener_port(domain),
            protocol=protocol,
            open=False,
            default_target_groups=[self.targets],
            **secure,
        )

    def _log_access(self) -> None:
        """Keep access logs for a month, without the region's name that the CDK's own method asks for."""
        bucket = s3.Bucket(
            self,
            "AccessLogs",
            encryption=s3.BucketEncryption.S3_MANAGED,  # the only one that log delivery can write with
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(30))],
            removal_policy=RemovalPolicy.RETAIN,
        )
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(_LOG_DELIVERY)],
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects("AWSLogs/*")],
            )
        )
        self.balancer.set_attribute("access_logs.s3.enabled", "true")
        self.balancer.set_attribute("access_logs.s3.bucket", bucket.bucket_name)
        if bucket.policy is not None:
            self.balancer.node.add_dependency(bucket.policy)
