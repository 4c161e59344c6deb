"""Limits by address, before a request costs anything."""

from aws_cdk import aws_apigateway as gateway
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from stacks.parameters import PREFIX

REQUESTS_PER_ADDRESS = 2_000
"""In five minutes. A backend that acts for many users comes from few addresses: raise it for those."""

# Rules that look into bodies (common rule set, known bad inputs, SQL) are left out on purpose: a prompt may hold any text.
_REPUTATION = "AWSManagedRulesAmazonIpReputationList"


class Firewall(Construct):
    """A web ACL in front of the gateway's stage."""

    def __init__(self, scope: Construct, construct_id: str, api: gateway.RestApi) -> None:
        super().__init__(scope, construct_id)
        acl = waf.CfnWebACL(
            self,
            "Acl",
            name=PREFIX,
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_seen("acl"),
            rules=[
                waf.CfnWebACL.RuleProperty(
                    name="rate",
                    priority=0,
                    action=waf.CfnWebACL.RuleActionProperty(block={}),
                    statement=waf.CfnWebACL.StatementProperty(
                        rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
                            aggregate_key_type="IP", limit=REQUESTS_PER_ADDRESS
                        )
                    ),
                    visibility_config=_seen("rate"),
                ),
                waf.CfnWebACL.RuleProperty(
                    name="reputation",
                    priority=1,
                    override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
                    statement=waf.CfnWebACL.StatementProperty(
                        managed_rule_group_statement=waf.CfnWebACL.ManagedRuleGroupStatementProperty(
                            vendor_name="AWS", name=_REPUTATION
                        )
                    ),
                    visibility_config=_seen("reputation"),
                ),
            ],
        )
        waf.CfnWebACLAssociation(
            self,
            "Association",
            resource_arn=api.deployment_stage.stage_arn,
            web_acl_arn=acl.attr_arn,
        )


def _seen(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True,
        metric_name=f"{PREFIX}-{name}",
        sampled_requests_enabled=False,  # samples would keep headers, and those carry credentials
    )
