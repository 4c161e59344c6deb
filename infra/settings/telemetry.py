"""Settings of metrics, traces and logs."""

from typing import Literal

from pydantic import Field, SecretStr

from infra.settings.process import ProcessSettings


class TelemetrySettings(ProcessSettings):
    """Where metrics, traces and log lines go, and in which form."""

    title = "Metrics, traces and logs"

    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Serves `/metrics` on this port of HOST instead of the API's; a worker serves metrics only with it.",
    )
    metrics_emf_enabled: bool = Field(
        default=False,
        description="Also writes metrics to stdout each minute, in CloudWatch's embedded metric format.",
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        default=None,
        description="Collector that receives traces over OTLP/HTTP; `/v1/traces` is appended.",
    )
    otel_exporter_otlp_traces_endpoint: str | None = Field(
        default=None,
        description="The same for traces alone, to which nothing is appended; it takes precedence.",
    )
    otel_exporter_otlp_protocol: str | None = Field(
        default=None,
        description="Only `http/protobuf` is supported; with another value the service does not start.",
    )
    otel_exporter_otlp_traces_protocol: str | None = Field(
        default=None, description="The same for traces alone."
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        default=None,
        description="Headers sent to the collector, as `name=value`, separated by commas.",
    )
    otel_service_name: str = Field(
        default="rt-genai", description="Name of this service in traces."
    )
    otel_traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = Field(
        default="parentbased_always_on",
        description="Which traces are recorded; `parentbased_` follows the caller's decision if there is one.",
    )
    otel_traces_sampler_arg: float = Field(
        default=1.0, ge=0.0, le=1.0, description="Share of traces that `traceidratio` records."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="Level of this service's own loggers; those of libraries stay at `info`.",
    )
    log_format: Literal["auto", "json", "pretty"] = Field(
        default="auto",
        description="`json`: one ECS object a line; `pretty`: for a person; `auto`: `pretty` where stdout is a terminal.",
    )
