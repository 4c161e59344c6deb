"""`python synth.py`: writes both CloudFormation templates to `cdk.out`, without credentials, network or Docker."""

import json
import sys
from pathlib import Path

import aws_cdk as cdk

from stacks.application import ApplicationStack
from stacks.data import DataStack
from stacks.exceptions import acknowledge_exceptions
from stacks.parameters import PREFIX, BadParameter, read_parameters

_HERE = Path(__file__).parent


def make_app(context: dict[str, str] | None = None, *, output: Path | None = None) -> cdk.App:
    """Return the app with both stacks.

    Args:
        context: Values that override `cdk.json`.
        output: Folder for the templates; by default the one of the CDK CLI, else `cdk.out` in the folder of this file.

    Raises:
        BadParameter: A parameter is missing or invalid.
    """
    defaults = json.loads((_HERE / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = cdk.App(
        post_cli_context=context or {},
        context=defaults,
        outdir=str(output) if output else None,
        # nothing is uploaded at deployment, so no account needs to be bootstrapped
        default_stack_synthesizer=cdk.CliCredentialsStackSynthesizer(),
        analytics_reporting=False,
    )
    parameters = read_parameters(app.node)
    data = DataStack(app, f"{PREFIX}-data", parameters)
    ApplicationStack(app, f"{PREFIX}-app", parameters, data)
    acknowledge_exceptions(app, parameters)
    return app


def main(arguments: list[str]) -> int:
    """Write the templates; `name=value` arguments win over `cdk.json`."""
    context = dict(argument.split("=", 1) for argument in arguments)
    try:
        make_app(context, output=_HERE / "cdk.out").synth()
    except BadParameter as error:
        sys.stderr.write(f"{error}\n")
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
