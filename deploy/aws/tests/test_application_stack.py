"""What runs: it streams, drains, heals, scales, and may do no more than it needs."""

import json
import re

import pytest
from aws_cdk.assertions import Match, Template

from tests.conftest import Synthesis
from tests.templates import actions, of_type, read, statements

SIZES = ("small", "large")


def application(synthesised: Synthesis, variant: str) -> Template:
    return Template.from_json(read(synthesised(variant), "rt-app"))


def containers(synthesised: Synthesis, variant: str = "small") -> dict[str, dict]:
    tasks = of_type(read(synthesised(variant), "rt-app"), "AWS::ECS::TaskDefinition")
    return {one["Name"]: one for task in tasks for one in task["ContainerDefinitions"]}


@pytest.mark.parametrize(
    ("variant", "start"), [("small", "http://"), ("large", "https://chat.example.com:443/")]
)
def test_the_gateway_streams_through_the_private_link(
    synthesised: Synthesis, variant: str, start: str
) -> None:
    methods = of_type(read(synthesised(variant), "rt-app"), "AWS::ApiGateway::Method")
    assert len(methods) == 2
    for method in methods:
        integration = method["Integration"]
        assert integration["Type"] == "HTTP_PROXY"
        assert integration["ConnectionType"] == "VPC_LINK"
        assert "Ref" in integration["ConnectionId"]
        assert "Ref" in integration["IntegrationTarget"]
        assert integration["ResponseTransferMode"] == "STREAM"
        assert 600_000 < integration["TimeoutInMillis"] <= 900_000
        uri = integration["Uri"]
        assert (uri if isinstance(uri, str) else uri["Fn::Join"][1][0]).startswith(start)


def test_a_new_version_of_the_worker_runs_before_that_of_the_api(synthesised: Synthesis) -> None:
    resources = read(synthesised("small"), "rt-app")["Resources"]
    api, worker = [
        next(
            logical_id
            for logical_id, resource in resources.items()
            if resource["Type"] == "AWS::ECS::Service"
            and resource["Properties"]["ServiceName"] == name
        )
        for name in ("api", "worker")
    ]
    assert worker in resources[api]["DependsOn"]


def test_streams_outlive_the_idle_limits_and_deployments(synthesised: Synthesis) -> None:
    template = application(synthesised, "small")
    template.has_resource_properties(
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        {
            "Scheme": "internal",
            "LoadBalancerAttributes": Match.array_with(
                [{"Key": "idle_timeout.timeout_seconds", "Value": "310"}]
            ),
        },
    )
    template.has_resource_properties(
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        {
            "HealthCheckPath": "/health/ready",
            "TargetGroupAttributes": Match.array_with(
                [{"Key": "deregistration_delay.timeout_seconds", "Value": "120"}]
            ),
        },
    )
    api = containers(synthesised)["api"]
    environment = {one["Name"]: one["Value"] for one in api["Environment"]}
    assert api["StopTimeout"] == 120
    assert int(environment["KEEP_ALIVE_SECONDS"]) > 310
    assert int(environment["SHUTDOWN_GRACE_SECONDS"]) < 120


@pytest.mark.parametrize("variant", SIZES)
def test_there_is_a_task_in_every_zone_and_a_bad_deployment_is_rolled_back(
    synthesised: Synthesis, variant: str
) -> None:
    template = read(synthesised(variant), "rt-app")
    assert len(of_type(template, "AWS::EC2::Subnet")) == 6
    services = {one["ServiceName"]: one for one in of_type(template, "AWS::ECS::Service")}
    assert services["api"]["DesiredCount"] >= 3
    for service in services.values():
        configuration = service["DeploymentConfiguration"]
        assert configuration["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
        assert configuration["MinimumHealthyPercent"] == 100


def test_both_services_run_one_image_that_cannot_write_its_own_files(
    synthesised: Synthesis,
) -> None:
    found = containers(synthesised)
    assert found["api"]["Image"] == found["worker"]["Image"]
    assert found["api"]["Command"] == ["serve"]
    assert found["worker"]["Command"] == ["worker"]
    for container in found.values():
        assert container["ReadonlyRootFilesystem"] is True
        assert container["User"] == "10001:10001"
        assert [point["ContainerPath"] for point in container["MountPoints"]] == ["/data"]


def test_both_kinds_of_task_are_asked_whether_they_live(synthesised: Synthesis) -> None:
    found = containers(synthesised)
    asked = {name: one["HealthCheck"]["Command"] for name, one in found.items()}
    program = ["CMD", "python", "-m", "app.cli.healthcheck"]
    assert asked == {"api": [*program, "8000"], "worker": [*program, "9000"]}
    environment = {one["Name"]: one["Value"] for one in found["worker"]["Environment"]}
    assert environment["METRICS_PORT"] == "9000"


def test_secrets_reach_the_api_alone_and_never_as_plain_text(synthesised: Synthesis) -> None:
    found = containers(synthesised, "large")
    assert {one["Name"] for one in found["api"]["Secrets"]} == {
        "API_KEYS",
        "CURSOR_SECRET",
        "GEMINI_API_KEY",
        "OPENROUTER_API_KEY",
    }
    assert "Secrets" not in found["worker"]
    for container in found.values():
        named = {one["Name"] for one in container["Environment"]}
        assert not any("KEY" in name and name != "KEEP_ALIVE_SECONDS" for name in named)


@pytest.mark.parametrize("variant", SIZES)
@pytest.mark.parametrize("stack", ["rt-data", "rt-app"])
def test_no_permission_ends_in_a_star(synthesised: Synthesis, variant: str, stack: str) -> None:
    allowed = [
        action
        for statement in statements(read(synthesised(variant), stack))
        for action in actions(statement)
    ]
    assert [action for action in allowed if action.endswith("*")] == []


def test_only_the_token_of_the_registry_is_for_every_resource(synthesised: Synthesis) -> None:
    wide = [
        actions(statement)
        for statement in statements(read(synthesised("small"), "rt-app"))
        if statement["Resource"] == "*"
    ]
    assert wide
    assert all(one == ["ecr:GetAuthorizationToken"] for one in wide)


def test_the_api_alone_reaches_the_attachments_and_nothing_else_of_s3(
    synthesised: Synthesis,
) -> None:
    """The worker stores interactions alone: the API stores their contents before it sends them."""
    environment = {
        one["Name"]: one["Value"] for one in containers(synthesised)["api"]["Environment"]
    }
    assert "Attachments" in str(environment["ATTACHMENTS_BUCKET"])
    allowed = [
        (role, sorted(actions(statement)), statement.get("Condition"), str(statement["Resource"]))
        for policy in of_type(read(synthesised("small"), "rt-app"), "AWS::IAM::Policy")
        for role in [str(policy["Roles"])]
        for statement in policy["PolicyDocument"]["Statement"]
        if any(action.startswith("s3:") for action in actions(statement))
    ]
    assert [(named, condition) for _, named, condition, _ in allowed] == [
        (["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], None),
        (
            ["s3:ListBucket"],
            {"StringLike": {"s3:prefix": ["contents/*", "erasing/*", "references/*"]}},
        ),
    ]
    assert all("TasksApiTask" in role for role, _, _, _ in allowed)
    assert all("Attachments" in resource for _, _, _, resource in allowed)


def test_the_api_scales_on_work_and_on_chats_under_way(synthesised: Synthesis) -> None:
    policies = of_type(
        read(synthesised("small"), "rt-app"), "AWS::ApplicationAutoScaling::ScalingPolicy"
    )
    tracked = [
        policy["TargetTrackingScalingPolicyConfiguration"]
        for policy in policies
        if policy["PolicyType"] == "TargetTrackingScaling"
    ]
    predefined = {
        one["PredefinedMetricSpecification"]["PredefinedMetricType"]
        for one in tracked
        if "PredefinedMetricSpecification" in one
    }
    assert predefined == {
        "ALBRequestCountPerTarget",
        "ECSServiceAverageCPUUtilization",
        "ECSServiceAverageMemoryUtilization",
    }
    (own,) = [
        one["CustomizedMetricSpecification"]
        for one in tracked
        if "CustomizedMetricSpecification" in one
    ]
    assert own["MetricName"] == "ChatsInFlight"
    assert own["Statistic"] == "Average"


def test_the_worker_scales_on_what_waits_and_for_how_long(synthesised: Synthesis) -> None:
    template = read(synthesised("small"), "rt-app")
    watched = {
        alarm["MetricName"]
        for alarm in of_type(template, "AWS::CloudWatch::Alarm")
        if "ScalingPolicy" in str(alarm.get("AlarmActions"))
        or "Upper" in str(alarm.get("AlarmActions"))
    }
    assert {
        "ApproximateNumberOfMessagesVisible",
        "ApproximateAgeOfOldestMessage",
    } <= watched


def test_the_world_reaches_the_gateway_alone_and_no_figures(synthesised: Synthesis) -> None:
    template = application(synthesised, "small")
    groups = of_type(read(synthesised("small"), "rt-app"), "AWS::EC2::SecurityGroup")
    assert not any("SecurityGroupIngress" in group for group in groups)
    template.has_resource_properties(
        "AWS::ElasticLoadBalancingV2::ListenerRule",
        {
            "Conditions": [
                {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/metrics"]}}
            ],
            "Actions": [{"FixedResponseConfig": {"StatusCode": "404"}, "Type": "fixed-response"}],
        },
    )
    template.resource_count_is("AWS::WAFv2::WebACLAssociation", 1)


def test_a_domain_brings_https_to_the_load_balancer_and_a_record(synthesised: Synthesis) -> None:
    template = application(synthesised, "large")
    template.has_resource_properties(
        "AWS::ElasticLoadBalancingV2::Listener",
        {"Port": 443, "Protocol": "HTTPS", "Certificates": Match.any_value()},
    )
    template.has_resource_properties("AWS::Route53::RecordSet", {"Name": "chat.example.com."})


def test_the_gateways_own_errors_are_counted_in_what_it_logs(synthesised: Synthesis) -> None:
    template = read(synthesised("small"), "rt-app")
    (stage,) = of_type(template, "AWS::ApiGateway::Stage")
    logged = json.loads(stage["AccessLogSetting"]["Format"])
    (counter,) = of_type(template, "AWS::Logs::MetricFilter")
    assert set(re.findall(r"\$\.(\w+)", counter["FilterPattern"])) <= logged.keys()
    assert "integrationErrorMessage" in logged, "deploy/runbook.md looks at it"
    (told,) = counter["MetricTransformations"]
    (alarm,) = [
        one
        for one in of_type(template, "AWS::CloudWatch::Alarm")
        if one.get("AlarmName") == "rt-GatewayErrors"
    ]
    assert (alarm["Namespace"], alarm["MetricName"]) == (
        told["MetricNamespace"],
        told["MetricName"],
    )


def test_the_gateway_never_logs_what_was_said(synthesised: Synthesis) -> None:
    (stage,) = of_type(read(synthesised("small"), "rt-app"), "AWS::ApiGateway::Stage")
    assert all(one["DataTraceEnabled"] is False for one in stage["MethodSettings"])
    assert stage["AccessLogSetting"]["DestinationArn"]
