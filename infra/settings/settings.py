"""Every setting, from the environment or `.env`."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from infra.configuration import ENV_FILE, ENV_FILE_ENCODING, ConfigurationError
from infra.operator_text import NotUtf8, text_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Names = Annotated[tuple[str, ...], NoDecode]
"""A comma-separated list in the environment."""

CENTURY_DAYS = 36_525.0
CENTURY_SECONDS = CENTURY_DAYS * 86_400.0
"""More than any sensible time, and less than what clocks, dates and stores can hold."""

Seconds = Annotated[float, Field(ge=0.0, le=CENTURY_SECONDS)]
PositiveSeconds = Annotated[float, Field(gt=0.0, le=CENTURY_SECONDS)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[int, Field(ge=0)]


_ROOT_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*", re.ASCII)
_OWN_PATHS = [[name] for name in ("v1", "health", "docs", "console", "metrics", "openapi.json")]


class Settings(BaseSettings):
    """Read once at start, never changed. Units stand in the names; secrets never print."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding=ENV_FILE_ENCODING,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    environment: Literal["development", "production"] = Field(
        default="development", description="`production` refuses to start unsafe."
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on.")
    data_dir: Path = Field(default=Path("data"), description="Where the embedded store lives.")

    authentication: Literal["none", "api_keys", "jwt", "api_keys,jwt"] = Field(
        default="none",
        description="Who is let in: `none` (loopback clients only), `api_keys`, `jwt`, or `api_keys,jwt`.",
    )
    allow_anonymous: bool = Field(
        default=False, description="Lets any client in although there is no authentication."
    )
    allowed_hosts: Names = Field(
        default=(), description="Host names this service answers to, besides loopback ones."
    )
    trusted_proxies: Names = Field(
        default=(),
        description="Addresses and networks of proxies, whose X-Forwarded-For, Forwarded and X-Forwarded-Prefix count.",
    )
    root_path: str = Field(
        default="",
        description="The path under which a proxy shows this service, such as `/ai`; whether it takes it off or not.",
    )
    cors_origins: Names = Field(
        default=(), description="Origins whose pages may call this service."
    )
    api_keys: Names = Field(
        default=(), description="Keys as hash lines, as `keys create --line` prints them."
    )
    api_keys_file: Path | None = Field(
        default=None, description="A file of such lines; changes are seen within 2 s."
    )
    keys_stale_seconds: Seconds = Field(
        default=900.0, description="How long keys go on holding when their file cannot be read."
    )
    jwt_issuer: str | None = Field(default=None, description="The `iss` of a token, exactly.")
    jwt_audience: str | None = Field(default=None, description="What a token's `aud` must name.")
    jwks_url: str | None = Field(
        default=None, description="Where the issuer publishes its keys; nothing else is ever asked."
    )
    jwt_user_claim: str = Field(default="sub", description="Where a token names its user.")
    jwt_leeway_seconds: float = Field(
        default=30.0, ge=0.0, le=60.0, description="By how much the issuer's clock may differ."
    )

    docs_enabled: bool = Field(default=True, description="Serves `/docs` and `/openapi.json`.")
    console_enabled: bool = Field(default=True, description="Serves the console at `/`.")

    gemini_api_key: SecretStr | None = Field(
        default=None, description="Lets the catalogue's Gemini models in."
    )
    gemini_base_url: str | None = Field(
        default=None, description="Another address for Gemini than the catalogue's."
    )
    openrouter_api_key: SecretStr | None = Field(
        default=None, description="Lets the catalogue's OpenRouter models in."
    )
    openrouter_base_url: str | None = Field(
        default=None, description="Another address for OpenRouter than the catalogue's."
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        description="Sent to OPENAI_BASE_URL, or to OpenAI itself when that is not set.",
    )
    openai_base_url: str | None = Field(
        default=None,
        description="An OpenAI-compatible server: Ollama, vLLM, llama.cpp; `/chat/completions` is appended.",
    )
    openai_model: str | None = Field(default=None, description="The model to ask there.")
    models_file: Path | None = Field(
        default=None, description="A models file of your own, instead of the built-in one."
    )

    mongo_uri: SecretStr | None = Field(
        default=None, description="History goes to MongoDB instead of the embedded store."
    )
    mongo_db: str = Field(default="rt_genai", description="The database in MongoDB.")
    dynamodb_table: str | None = Field(
        default=None,
        description="History goes to this DynamoDB table instead of the embedded store.",
    )
    sqs_queue_url: str | None = Field(
        default=None,
        description="Answers go through this SQS queue; `python main.py worker` carries them to the store.",
    )
    sqs_dlq_url: str | None = Field(
        default=None,
        description="Where messages go that can never be stored; else SQS_QUEUE_URL with `-dlq` appended.",
    )
    aws_region: str | None = Field(
        default=None, description="Region of the table and the queues; else the shared AWS files'."
    )
    aws_endpoint_url: str | None = Field(
        default=None,
        description="Another address than the region's own: a VPC endpoint, or an emulator.",
    )
    aws_emulator: bool = Field(
        default=False,
        description="AWS_ENDPOINT_URL is an emulator: no region or credentials are needed, and the table and the queues are made there.",
    )
    aws_access_key_id: str | None = Field(
        default=None, description="Else the role of the task or machine, or the shared AWS files."
    )
    aws_secret_access_key: SecretStr | None = Field(
        default=None, description="Belongs to AWS_ACCESS_KEY_ID."
    )
    aws_session_token: SecretStr | None = Field(
        default=None, description="Belongs to AWS_ACCESS_KEY_ID where that is temporary."
    )
    outbox_enabled: bool = Field(
        default=True,
        description="An answer is kept on this disk until the store has it; `false` where the disk ends with the process.",
    )
    outbox_keep_delivered_seconds: Seconds = Field(
        default=3600.0, description="How long what the store has stays readable here as well."
    )
    outbox_max_rows: Count = Field(
        default=500_000, description="With so many undelivered nothing new is accepted."
    )
    outbox_max_bytes: Count = Field(
        default=1024 * 1024 * 1024, description="The same, for their size."
    )
    history_hosts: Literal["one", "many"] = Field(
        default="many",
        description="`one`: no other host writes to the store, so that conversations begun here go on while it is away.",
    )
    history_mode: Literal["strict", "best_effort"] = Field(
        default="strict",
        description="`best_effort` answers also when the answer cannot be kept, and says so in it and in the log.",
    )
    history_retention_days: float | None = Field(
        default=None,
        gt=0.0,
        le=CENTURY_DAYS,
        description="How long an interaction is kept; else for ever. Counts from when it is written on.",
    )
    cursor_secret: SecretStr | None = Field(
        default=None, description="Signs cursors; else one is made under DATA_DIR."
    )

    request_timeout_seconds: float = Field(
        default=60.0,
        ge=3.0,
        le=CENTURY_SECONDS,
        description="All of a plain chat; of a stream, up to its first word.",
    )
    stream_total_seconds: PositiveSeconds = Field(
        default=600.0, description="All of a streamed chat."
    )
    accept_reserve_seconds: Seconds = Field(
        default=1.0, description="Kept back of the request's time for storing the answer."
    )
    connect_seconds: PositiveSeconds = Field(
        default=2.0, description="Longest wait for a connection to a provider."
    )
    first_token_seconds: PositiveSeconds = Field(
        default=12.0,
        description="What one route may take to its first word while another exists; a model may say otherwise.",
    )
    first_token_share: Share = Field(
        default=0.6,
        description="Of the time left, what one route may take to its first word while another exists.",
    )
    idle_seconds: PositiveSeconds = Field(
        default=15.0, description="Longest silence within an answer."
    )
    min_attempt_seconds: Seconds = Field(
        default=2.0, description="No attempt starts with less time left."
    )

    attempts_per_route: Count = Field(
        default=2,
        description="Calls of one provider and model for one question, the first included.",
    )
    attempts_per_turn: Count | None = Field(
        default=None,
        description="Calls of all providers together for one question; else one more than there are routes, 3 to 6.",
    )
    retry_base_seconds: Seconds = Field(
        default=0.2, description="A first retry waits between 0 and this."
    )
    retry_cap_seconds: Seconds = Field(
        default=2.0,
        description="A provider that asks for a longer pause is left alone instead of asked again.",
    )
    retry_budget_tokens: CountOrNone = Field(
        default=100,
        description="What a route may spend on retries; each costs 5, a timeout 10, and an answer brings 1.",
    )
    cooldown_cap_seconds: Seconds = Field(
        default=60.0, description="The longest pause that is believed of a provider."
    )
    breaker_consecutive_failures: Count = Field(
        default=5, description="So many failures in a row close a route to calls."
    )
    breaker_failure_ratio: Share = Field(
        default=0.5, description="So large a share of failures does it too."
    )
    breaker_minimum_calls: Count = Field(
        default=10, description="Of fewer calls no share is taken."
    )
    breaker_window_seconds: PositiveSeconds = Field(
        default=30.0, description="The time over which the share is taken."
    )
    breaker_open_seconds: PositiveSeconds = Field(
        default=10.0, description="How long a failing route is left alone at first."
    )
    breaker_open_cap_seconds: PositiveSeconds = Field(
        default=15.0,
        description="How long at most, as failed probes make it longer; unless set, never less than BREAKER_OPEN_SECONDS.",
    )
    breaker_successes_to_close: Count = Field(
        default=2,
        description="So many probes have to be answered before all calls are let in again.",
    )
    breaker_misconfigured_seconds: Seconds = Field(
        default=300.0, description="How long a provider that refuses our key is left alone."
    )
    max_calls_per_provider: Count = Field(
        default=1000, description="More under way at once go to the next route, or are a 503."
    )
    price_lookup_enabled: bool = Field(
        default=True,
        description="Looks prices up at start, in a process of its own; else only prices stated in MODELS_FILE count.",
    )

    max_body_bytes: Count = Field(default=256 * 1024, description="A larger body is a 413.")
    max_header_bytes: Count = Field(default=16 * 1024, description="Larger headers are a 431.")
    max_url_bytes: Count = Field(default=8 * 1024, description="A longer URL is a 414.")
    max_json_depth: Count = Field(default=32, description="A body nested deeper is a 400.")
    max_answer_bytes: Count = Field(
        default=1024 * 1024, description="A longer answer is cut there and recorded as truncated."
    )
    caller_requests_per_minute: Count = Field(
        default=600, description="Of one key or user, in one process; more are a 429."
    )
    caller_concurrent_requests: Count = Field(
        default=50, description="Of one key or user at once, in one process; more are a 429."
    )
    caller_daily_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Of one key or user in a day (UTC), in one process; more are a 429.",
    )
    idempotency_keep_seconds: float = Field(
        default=86_400.0,
        ge=60.0,
        le=CENTURY_SECONDS,
        description="How long an Idempotency-Key is remembered.",
    )
    idempotency_lease_seconds: Seconds = Field(
        default=10.0,
        description="After its deadline, how long until a request with a key counts as dead.",
    )
    max_concurrent_chats: Count = Field(default=1000, description="More are shed with a 503.")
    max_connections: Count = Field(default=2000, description="More are answered with a 503.")
    header_receipt_seconds: PositiveSeconds = Field(
        default=10.0, description="A request whose headers take longer to arrive is a 408."
    )
    body_receipt_seconds: PositiveSeconds = Field(
        default=30.0, description="A request whose body takes longer to arrive is a 408."
    )
    write_stall_seconds: PositiveSeconds = Field(
        default=30.0,
        description="A client that takes nothing of its answer for so long is disconnected.",
    )
    keep_alive_seconds: PositiveSeconds = Field(
        default=320.0, description="How long an idle connection stays open."
    )
    unready_seconds: Seconds = Field(
        default=0.0,
        description="After SIGTERM, how long to go on accepting while not ready, for a load balancer to notice.",
    )
    shutdown_grace_seconds: Seconds = Field(
        default=25.0, description="After SIGTERM, how long requests under way may go on."
    )

    history_read_seconds: PositiveSeconds = Field(
        default=2.5, description="A history read that takes longer is a 503."
    )
    min_free_disk_bytes: CountOrNone = Field(
        default=64 * 1024 * 1024, description="Below it nothing new is accepted."
    )
    interrupted_grace_seconds: Seconds = Field(
        default=30.0,
        description="After its deadline, how long until a request whose process died is recorded.",
    )

    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Serves `/metrics` there, on HOST, instead of beside the API; a worker serves it only so.",
    )
    metrics_emf_enabled: bool = Field(
        default=False,
        description="Writes each minute's figures to stdout too, as lines CloudWatch makes metrics of.",
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        default=None,
        description="A collector that takes traces over OTLP/HTTP; `/v1/traces` is appended.",
    )
    otel_exporter_otlp_traces_endpoint: str | None = Field(
        default=None, description="The same, used as it is, where traces go elsewhere."
    )
    otel_exporter_otlp_protocol: str | None = Field(
        default=None, description="Only `http/protobuf` is spoken; another is refused at start."
    )
    otel_exporter_otlp_traces_protocol: str | None = Field(
        default=None, description="The same, for traces alone."
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        default=None, description="Sent to it, as `name=value`, separated by commas."
    )
    otel_service_name: str = Field(default="rt-genai", description="What traces call this service.")
    otel_traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = Field(
        default="parentbased_always_on",
        description="Which traces are kept; `parentbased_` leaves it to the caller where it says.",
    )
    otel_traces_sampler_arg: float = Field(
        default=1.0, ge=0.0, le=1.0, description="The share of them that `traceidratio` keeps."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="`debug` is for our own loggers only; others stay at `info`."
    )
    log_format: Literal["json", "pretty"] = Field(
        default="json", description="`json` is one ECS object a line; `pretty` is for a terminal."
    )

    @field_validator("authentication", mode="before")
    @classmethod
    def _in_order(cls, value: object) -> object:
        if isinstance(value, str):
            return ",".join(sorted(part.strip().lower() for part in value.split(",")))
        return value

    @field_validator("root_path")
    @classmethod
    def _is_a_plain_path(cls, value: str) -> str:
        path = value.rstrip("/")
        if not _ROOT_PATH.fullmatch(path):
            raise ValueError("must be a path such as /ai, of letters, digits and . _ ~ -")
        if path.split("/")[1:2] in _OWN_PATHS:
            raise ValueError("must not begin like a path of the service itself")
        return path

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            ip_network(name)
        return value

    @model_validator(mode="after")
    def _leave_time_to_ask(self) -> Self:
        if self.accept_reserve_seconds >= self.request_timeout_seconds:
            raise ValueError("ACCEPT_RESERVE_SECONDS: should be less than REQUEST_TIMEOUT_SECONDS")
        return self

    @field_validator("allowed_hosts", "api_keys", "cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    def breaker_longest_open_seconds(self) -> float:
        """Return the cap on openings: without one of its own, a longer BREAKER_OPEN_SECONDS holds as it is."""
        if "breaker_open_cap_seconds" in self.model_fields_set:
            return self.breaker_open_cap_seconds
        return max(self.breaker_open_cap_seconds, self.breaker_open_seconds)


def read_settings() -> Settings:
    """Return the settings of the environment and `.env`.

    Raises:
        ConfigurationError: One of them is not valid; named, without its value. Or `.env` cannot be read.
    """
    try:
        if (env_file := Path(ENV_FILE)).is_file():
            text_of(env_file.read_bytes())
        return Settings()
    except NotUtf8 as error:
        raise ConfigurationError(f"{ENV_FILE} cannot be read: it {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{ENV_FILE} cannot be read ({type(error).__name__})") from error
    except ValidationError as error:
        wrong = [_said_of(one) for one in error.errors(include_input=False, include_url=False)]
        raise ConfigurationError("; ".join(wrong)) from error


def _said_of(error: "ErrorDetails") -> str:
    """Return what is wrong with a setting: its name, and for a number what it may be."""
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    name = str(error["loc"][0])
    field = Settings.model_fields.get(name)
    allowed = None if field is None else allowed_numbers(field)
    return f"{name.upper()}: {error['msg'] if allowed is None else f'should be {allowed}'}"


def allowed_numbers(field: FieldInfo) -> str | None:
    """Return in words what a numeric setting may be; None for a setting that is no number."""
    kinds = {field.annotation, *get_args(field.annotation)}
    if not kinds & {int, float}:
        return None
    words = ["a whole number" if int in kinds else "a number"]
    bounds = {
        name: getattr(one, name) for one in field.metadata for name in _BOUNDS if hasattr(one, name)
    }
    words += [f"{_BOUNDS[name]} {bounds[name]:.12g}" for name in _BOUNDS if name in bounds]
    return " ".join(words)


_BOUNDS = {"gt": "above", "ge": "from", "le": "up to"}
