"""The network: three availability zones, reachable from outside only through the gateway."""

from collections.abc import Mapping

from aws_cdk import Fn, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.parameters import PORT, PREFIX, Size

ZONES = 3

_ENDPOINTS = {
    "EcrApi": ec2.InterfaceVpcEndpointAwsService.ECR,
    "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "Sqs": ec2.InterfaceVpcEndpointAwsService.SQS,
    "Secrets": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
}


class Network(Construct):
    """The VPC and the allowed connections: gateway link → load balancer → API; API and worker → outside by HTTPS.

    Attributes:
        private: The subnets of the tasks and the load balancer.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        size: Size,
        *,
        listener_port: int,
        calls_bedrock: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        self.vpc = self._make_vpc(size)
        self.private = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
        self.link = self._make_group("LinkGroup", "VPC link of the gateway")
        self.balancer = self._make_group("BalancerGroup", "The load balancer")
        self.api = self._make_group("ApiGroup", "Tasks of the API")
        self.worker = self._make_group("WorkerGroup", "Tasks of the worker")
        _let(self.link, self.balancer, listener_port)
        _let(self.balancer, self.api, PORT)
        for group in (self.api, self.worker):
            # addresses of providers and AWS change, so only the port can be restricted
            group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "Providers and AWS")
        endpoints = dict(_ENDPOINTS) if size.has_interface_endpoints else {}
        if calls_bedrock:
            endpoints["Bedrock"] = ec2.InterfaceVpcEndpointAwsService.BEDROCK_RUNTIME
        if endpoints:
            self._add_interface_endpoints(endpoints)

    def _make_vpc(self, size: Size) -> ec2.Vpc:
        vpc = ec2.Vpc(
            self,
            "Vpc",
            vpc_name=PREFIX,
            # of whichever region it is deployed to; asking for names would take credentials
            availability_zones=[Fn.select(zone, Fn.get_azs()) for zone in range(ZONES)],
            nat_gateways=size.nat_gateways,
            restrict_default_security_group=False,
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(
                    service=ec2.GatewayVpcEndpointAwsService.DYNAMODB
                ),
            },
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=False
                ),
                ec2.SubnetConfiguration(
                    name="private", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS
                ),
            ],
        )
        group = logs.LogGroup(self, "Flow", retention=logs.RetentionDays.ONE_WEEK)
        vpc.add_flow_log(
            "Rejected",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )
        return vpc

    def _make_group(self, construct_id: str, description: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            self, construct_id, vpc=self.vpc, description=description, allow_all_outbound=False
        )

    def _add_interface_endpoints(
        self, endpoints: Mapping[str, ec2.InterfaceVpcEndpointAwsService]
    ) -> None:
        group = self._make_group("EndpointGroup", "Services of AWS inside the VPC")
        for tasks in (self.api, self.worker):
            _let(tasks, group, 443)
        for name, service in endpoints.items():
            self.vpc.add_interface_endpoint(
                name, service=service, security_groups=[group], open=False, subnets=self.private
            )


def _let(source: ec2.SecurityGroup, target: ec2.SecurityGroup, port: int) -> None:
    """Allow connections from one security group to another, in the rules of both."""
    description = f"{Stack.of(source).stack_name} port {port}"
    source.add_egress_rule(target, ec2.Port.tcp(port), description)
    target.add_ingress_rule(source, ec2.Port.tcp(port), description)
