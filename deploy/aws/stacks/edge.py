"""The public side: a REST API with response streaming, a firewall, and a domain name."""

import json

from aws_cdk import CfnOutput, Fn
from aws_cdk import aws_apigateway as gateway
from aws_cdk import aws_apigatewayv2 as gateway2
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_logs as logs
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from constructs import Construct

from stacks.balancer import Balancer, listener_port
from stacks.metrics import GATEWAY_ERRORS, NAMESPACE
from stacks.network import Network
from stacks.parameters import PREFIX, Domain, Size

INTEGRATION_SECONDS = 660
"""Longer than STREAM_TOTAL_SECONDS; streaming integrations may take up to 15 minutes."""


_LOGGED = {
    "requestId": "$context.requestId",
    "requestTime": "$context.requestTime",
    "ip": "$context.identity.sourceIp",
    "httpMethod": "$context.httpMethod",
    "resourcePath": "$context.resourcePath",  # the template: a path may name a user
    "protocol": "$context.protocol",
    "status": "$context.status",
    "responseLength": "$context.responseLength",
    "responseLatency": "$context.responseLatency",
    "integrationStatus": "$context.integration.status",
    "integrationErrorMessage": "$context.integrationErrorMessage",
}
_ERRORS_OF_ITS_OWN = '{ $.status = "5*" && $.integrationStatus != "5*" }'


class Edge(Construct):
    """The gateway: streams, throttles and logs; credentials are checked by the service itself.

    Attributes:
        api: The REST API.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        size: Size,
        domain: Domain | None,
        network: Network,
        balancer: Balancer,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        self.api = self._make_api(size, log_group)
        logs.MetricFilter(
            self,
            "Errors",
            log_group=log_group,
            filter_pattern=logs.FilterPattern.literal(_ERRORS_OF_ITS_OWN),
            metric_namespace=NAMESPACE,
            metric_name=GATEWAY_ERRORS,
            metric_value="1",
            default_value=0,
        )
        link = gateway2.CfnVpcLink(
            self,
            "Link",
            name=PREFIX,
            subnet_ids=network.vpc.select_subnets(
                subnet_type=network.private.subnet_type
            ).subnet_ids,
            security_group_ids=[network.link.security_group_id],
        )
        proxy = self.api.root.add_resource("{proxy+}")
        self._pass_on(self.api.root, "", link, balancer, domain)
        self._pass_on(proxy, "{proxy}", link, balancer, domain)
        address = self._name(domain) if domain else self.api.url
        CfnOutput(self, "Url", value=address, description="Where clients ask")

    def _make_api(self, size: Size, log_group: logs.ILogGroup) -> gateway.RestApi:
        return gateway.RestApi(
            self,
            "Api",
            rest_api_name=PREFIX,
            endpoint_configuration=gateway.EndpointConfiguration(
                types=[gateway.EndpointType.REGIONAL]
            ),
            cloud_watch_role=True,
            deploy_options=gateway.StageOptions(
                stage_name="live",
                throttling_rate_limit=size.throttle_per_second,
                throttling_burst_limit=2 * size.throttle_per_second,
                metrics_enabled=True,
                logging_level=gateway.MethodLoggingLevel.ERROR,
                data_trace_enabled=False,  # prompts and answers would be in the log
                access_log_destination=gateway.LogGroupLogDestination(log_group),
                access_log_format=gateway.AccessLogFormat.custom(json.dumps(_LOGGED)),
            ),
        )

    def _pass_on(
        self,
        resource: gateway.IResource,
        path: str,
        link: gateway2.CfnVpcLink,
        balancer: Balancer,
        domain: Domain | None,
    ) -> None:
        """Forward every method; the L2 integration cannot name a VPC link V2, so it is set on the L1 resource."""
        host = domain.name if domain else balancer.balancer.load_balancer_dns_name
        scheme = "https" if domain else "http"
        has_path = {"integration.request.path.proxy": "method.request.path.proxy"} if path else {}
        method = resource.add_method(
            "ANY",
            gateway.Integration(
                type=gateway.IntegrationType.HTTP_PROXY,
                integration_http_method="ANY",
                uri=f"{scheme}://{host}:{listener_port(domain)}/{path}",
                options=gateway.IntegrationOptions(
                    request_parameters=has_path,
                    response_transfer_mode=gateway.ResponseTransferMode.STREAM,
                ),
            ),
            request_parameters=dict.fromkeys(has_path.values(), True),
        )
        below = method.node.default_child
        assert isinstance(below, gateway.CfnMethod)
        for name, value in {
            "ConnectionType": "VPC_LINK",
            "ConnectionId": link.ref,
            "IntegrationTarget": balancer.balancer.load_balancer_arn,
            "TimeoutInMillis": INTEGRATION_SECONDS * 1000,
        }.items():
            below.add_property_override(f"Integration.{name}", value)

    def _name(self, domain: Domain) -> str:
        name = self.api.add_domain_name(
            "Domain",
            domain_name=domain.name,
            certificate=acm.Certificate.from_certificate_arn(
                self, "Certificate", domain.certificate_arn
            ),
            endpoint_type=gateway.EndpointType.REGIONAL,
            security_policy=gateway.SecurityPolicy.TLS_1_2,
        )
        if domain.hosted_zone_id is not None:
            zone = route53.HostedZone.from_hosted_zone_attributes(
                self,
                "Zone",
                hosted_zone_id=domain.hosted_zone_id,
                zone_name=domain.name.partition(".")[2],
            )
            route53.ARecord(
                self,
                "Record",
                zone=zone,
                record_name=f"{domain.name}.",
                target=route53.RecordTarget.from_alias(targets.ApiGatewayDomain(name)),
            )
        else:
            CfnOutput(self, "Alias", value=name.domain_name_alias_domain_name)
        return Fn.join("", ["https://", domain.name, "/"])
