"""rt-app: the running service. It holds no data and can be deleted and created again."""

from aws_cdk import Stack
from constructs import Construct

from stacks.alarms import Alarms
from stacks.balancer import Balancer, listener_port
from stacks.dashboard import add_dashboard
from stacks.data import DataStack
from stacks.edge import Edge
from stacks.firewall import Firewall
from stacks.network import Network
from stacks.parameters import PORT, Parameters
from stacks.permissions import api_permissions, worker_permissions
from stacks.scaling import scale_api, scale_worker
from stacks.tasks import METRICS_PORT, Tasks


class ApplicationStack(Stack):
    """Gateway → load balancer → API → queue → worker → table, with alarms and dashboards."""

    def __init__(
        self, scope: Construct, stack_id: str, parameters: Parameters, data: DataStack
    ) -> None:
        super().__init__(
            scope,
            stack_id,
            description="rt-genai: gateway, API, worker, alarms",
            suppress_template_indentation=True,
        )
        size, domain = parameters.size, parameters.domain
        models = parameters.bedrock_models
        network = Network(
            self,
            "Network",
            size,
            listener_port=listener_port(domain),
            calls_bedrock=bool(models),
        )
        balancer = Balancer(self, "Balancer", network, domain)
        tasks = Tasks(self, "Tasks", parameters, data, network)
        api = tasks.make_service(
            "api",
            tasks.make_task(
                "api",
                cpu=size.api_cpu,
                memory_mib=size.api_memory_mib,
                port=PORT,
                environment=tasks.api_environment(),
                secrets=tasks.make_secrets(),
                permissions=api_permissions(data, models, parameters.bedrock_guardrail),
            ),
            network.api,
            count=size.api_least,
            health_grace_seconds=60,
        )
        balancer.attach(api)
        worker = tasks.make_service(
            "worker",
            tasks.make_task(
                "worker",
                cpu=size.worker_cpu,
                memory_mib=size.worker_memory_mib,
                environment={"METRICS_PORT": str(METRICS_PORT)},
                secrets={},
                permissions=worker_permissions(data),
            ),
            network.worker,
            count=size.worker_least,
        )
        # A worker reads the messages of earlier versions, but not those of later ones.
        api.node.add_dependency(worker)
        scale_api(api, balancer.targets, size)
        scale_worker(worker, data.queue, size)
        edge = Edge(
            self,
            "Edge",
            size=size,
            domain=domain,
            network=network,
            balancer=balancer,
            log_group=data.log_groups["gateway"],
        )
        Firewall(self, "Firewall", edge.api)
        alarms = Alarms(self, "Alarms", data, balancer, tasks.cluster, parameters.alarm_email)
        add_dashboard(self, data, balancer, [api, worker], alarms)
